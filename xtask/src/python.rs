//! Programs in Python that we call: an environment of their own, below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;
use crate::packages::{self, PYTHON};
use crate::progress::step;
use crate::workspace::Workspace;

/// Helm's own engine as a library, and Kubernetes' schemas with what compares manifests with them.
/// Both are in the registry as a whole; nothing is fetched when they run.
const PACKAGES: [&str; 2] = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0"];

/// The folder of the environment's programs, which is made if it is not there or is another one.
pub(crate) fn programs(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("python");
    let (bin, mark) = (folder.join("bin"), folder.join("netpath-packages"));
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    let python = interpreter()?;
    step(format!("Installing {} (about 30 MB)", PACKAGES.join(" and ")));
    command::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(bin.join("pip"));
    pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").args(["install", "--quiet"]);
    command::run(pip.args(PACKAGES)).context("pip reaches no registry, or none of this machine")?;
    fs::write(&mark, wanted).with_context(|| format!("write {}", mark.display()))?;
    Ok(bin)
}

/// An interpreter that makes environments: Debian's leaves that to a package of its own.
fn interpreter() -> Result<&'static Path> {
    let makes = |python: &Path| {
        let mut import = Command::new(python);
        command::output(import.args(["-c", "import ensurepip, venv"])).is_ok()
    };
    let candidates = ["python3", "/usr/bin/python3"].map(Path::new);
    if let Some(python) = candidates.into_iter().find(|python| makes(python)) {
        return Ok(python);
    }
    packages::install(&PYTHON)?;
    let [_, debian] = candidates;
    Ok(debian)
}
