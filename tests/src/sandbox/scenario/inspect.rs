//! Looking inside with bpftool: names instead of numbers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{Effort, Outcome, Scenario};
use crate::sandbox::{agent::Settings, command, lab::Lab};

/// Programs and maps.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::shared("inspect::bpftool", &Settings::default(), 1500, bpftool)]
}

fn bpftool(lab: &Lab, _: Effort) -> Result<Outcome> {
    if !command::exists("bpftool") {
        return Ok(Outcome::Ignored("bpftool is not installed".into()));
    }
    let programs = command::run(Command::new("bpftool").args(["prog", "show"]))?;
    let missing: Vec<_> = ["netpath_egress", "netpath_ingress"]
        .into_iter()
        .filter(|name| !programs.contains(&format!("name {name} ")))
        .collect();
    ensure!(missing.is_empty(), "bpftool prog show has no {missing:?}: {programs}");

    let map = find(&lab.files[0].pins, "counters")?.context("no map is pinned as counters")?;
    let dump = command::run(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(&map))?;
    let missing: Vec<_> = ["parent", "hook", "path", "reason", "packets", "bytes"]
        .into_iter()
        .filter(|field| !dump.contains(&format!("\"{field}\":")))
        .collect();
    ensure!(missing.is_empty(), "the dump of {} names no {missing:?}: {dump}", map.display());
    Ok(Outcome::Passed)
}

fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let found = if path.is_dir() {
            find(&path, name)?
        } else {
            path.file_name().is_some_and(|file| file == name).then_some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
