//! The chart, rendered by Helm's own engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::command;
use crate::python;
use crate::workspace::Workspace;

const RENDER: &str = include_str!("render.py");

/// Manifests by the names of their templates, without `.yaml`.
pub(super) type Manifests = BTreeMap<String, String>;

/// Renders the chart with its own values and each text of others.
pub(super) fn render(workspace: &Workspace, values: &[String]) -> Result<Vec<Manifests>> {
    let files = TempDir::new().context("make a temporary folder")?;
    let mut python = Command::new(python::programs(workspace)?.join("python"));
    python.current_dir(files.path()).arg("render.py").arg(folder(workspace));
    let write = |name: &str, text: &str| {
        fs::write(files.path().join(name), text).with_context(|| format!("write {name}"))
    };
    write("render.py", RENDER)?;
    for (index, text) in values.iter().enumerate() {
        let name = format!("values-{index}.yaml");
        write(&name, text)?;
        python.arg(name);
    }
    let output = command::output(&mut python).context("render deploy/chart")?;
    let rendered: Vec<BTreeMap<String, String>> =
        serde_json::from_str(&output).context("parse what render.py printed")?;
    Ok(rendered.into_iter().map(manifests).collect())
}

/// Where it is.
pub(super) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("deploy/chart")
}

/// Files of a folder by their names without `.yaml`, none if it is not there.
pub(super) fn files(folder: &Path) -> Result<Manifests> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "yaml") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// Manifests only, and none that came out empty. Blank lines that a template indented are blank.
fn manifests(rendered: BTreeMap<String, String>) -> Manifests {
    let manifest = |(path, text): (String, String)| {
        let name = path.rsplit('/').next()?.strip_suffix(".yaml")?.to_owned();
        let lines: Vec<_> = text.trim().lines().map(str::trim_end).collect();
        (!lines.is_empty()).then(|| (name, lines.join("\n") + "\n"))
    };
    rendered.into_iter().filter_map(manifest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_are_kept() {
        let rendered = [
            ("netpath/templates/NOTES.txt", "hello"),
            ("netpath/templates/a.yaml", "\nkind: A\ndata: |\n  b\n  \n  c\n\n"),
            ("netpath/templates/b.yaml", "\n\n"),
        ];
        let rendered = rendered.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let expected = ("a".to_owned(), "kind: A\ndata: |\n  b\n\n  c\n".to_owned());
        assert_eq!(manifests(rendered.into()), [expected].into());
    }
}
