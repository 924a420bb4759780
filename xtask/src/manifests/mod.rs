//! `cargo xtask manifests`: what `kubectl apply` takes, from the chart that Helm takes.

mod chart;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use self::chart::Manifests;
use crate::command;
use crate::progress::step;
use crate::python;
use crate::workspace::Workspace;

/// `cargo xtask manifests`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The chart (deploy/chart) is what people edit. Its custom resource definitions are deploy/chart/crds.
With its default values it makes deploy/kustomize/base and deploy/netpath.yaml. Every manifest,
and those that the values in deploy/chart/ci make, must be as Kubernetes' own schemas say.

Examples:
  cargo xtask manifests            write them
  cargo xtask manifests --check    fail if they are not what the chart makes")]
pub(crate) struct Args {
    /// Change nothing; fail if a file is not what the chart makes.
    #[arg(long)]
    check: bool,
}

/// What the plain manifests have besides the chart's defaults: Helm makes namespaces by itself.
const PLAIN: &str = "namespace: { create: true }";

/// In which order they are applied.
const ORDER: [&str; 6] =
    ["namespace", "serviceaccount", "clusterrole", "clusterrolebinding", "configmap", "daemonset"];

const MADE: &str = "# Made by `cargo xtask manifests` from deploy/chart: change that, not this.\n";

/// Writes or checks them.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let made = make(workspace)?;
    if args.check {
        check(&workspace.root, &made)?;
        println!("{} files are what the chart makes", made.len());
        return Ok(0);
    }
    clear(&workspace.root)?;
    for (path, text) in &made {
        let file = workspace.root.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        println!("{}", path.display());
    }
    Ok(0)
}

/// What the chart makes, by paths from the root on; everything was compared with the schemas.
fn make(workspace: &Workspace) -> Result<BTreeMap<PathBuf, String>> {
    let folder = chart::folder(workspace);
    let others = chart::files(&folder.join("ci"))?;
    let mut values = vec![PLAIN.to_owned()];
    values.extend(others.values().cloned());
    step("Rendering the chart");
    let rendered = chart::render(workspace, &values)?;
    let definitions = chart::files(&folder.join("crds"))?;
    step("Comparing manifests with Kubernetes' schemas");
    validate(workspace, &rendered, &definitions)?;
    let plain = rendered.first().context("nothing was rendered")?;
    files(plain, &definitions)
}

/// The plain manifests: one file each, what Kustomize wants beside them, and all in one.
fn files(plain: &Manifests, definitions: &Manifests) -> Result<BTreeMap<PathBuf, String>> {
    if let Some(name) = plain.keys().find(|name| !ORDER.contains(&name.as_str())) {
        bail!("templates/{name}.yaml: when is it applied? Add it to ORDER of xtask's manifests");
    }
    let crds = definitions.iter().map(|(name, text)| (format!("crds/{name}.yaml"), text));
    let rest = ORDER.iter().filter_map(|name| Some((format!("{name}.yaml"), plain.get(*name)?)));
    let (mut made, mut list, mut all) = (BTreeMap::new(), String::new(), MADE.to_owned());
    for (name, text) in crds.chain(rest) {
        list.extend(["  - ", &name, "\n"]);
        all.extend(["---\n", text.trim_start_matches("---\n")]);
        made.insert(Path::new("deploy/kustomize/base").join(name), format!("{MADE}{text}"));
    }
    let kustomization = format!(
        "{MADE}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{list}"
    );
    made.insert("deploy/kustomize/base/kustomization.yaml".into(), kustomization);
    made.insert("deploy/netpath.yaml".into(), all);
    Ok(made)
}

/// Compares manifests with Kubernetes' schemas; unknown fields are errors.
fn validate(workspace: &Workspace, rendered: &[Manifests], crds: &Manifests) -> Result<()> {
    let folder = TempDir::new().context("make a temporary folder")?;
    let mut validator = Command::new(python::programs(workspace)?.join("kubernetes-validate"));
    validator.args(["--strict", "--quiet"]).current_dir(folder.path());
    for (index, manifests) in rendered.iter().chain([crds]).enumerate() {
        for (name, text) in manifests {
            let file = format!("{index}-{name}.yaml");
            fs::write(folder.path().join(&file), text).with_context(|| format!("write {file}"))?;
            validator.arg(file);
        }
    }
    command::run(&mut validator).context("a manifest is not as Kubernetes' schemas say")
}

fn check(root: &Path, made: &BTreeMap<PathBuf, String>) -> Result<()> {
    for (path, text) in made {
        if fs::read_to_string(root.join(path)).ok().as_ref() != Some(text) {
            bail!("{}: not what deploy/chart makes; run cargo xtask manifests", path.display());
        }
    }
    let base = root.join("deploy/kustomize/base");
    for folder in ["", "crds"] {
        for name in chart::files(&base.join(folder))?.keys() {
            let path = Path::new("deploy/kustomize/base").join(folder).join(format!("{name}.yaml"));
            if !made.contains_key(&path) {
                bail!("{}: the chart does not make it; remove it", path.display());
            }
        }
    }
    Ok(())
}

/// Takes away what was made before.
fn clear(root: &Path) -> Result<()> {
    let base = root.join("deploy/kustomize/base");
    match fs::remove_dir_all(&base) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", base.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
