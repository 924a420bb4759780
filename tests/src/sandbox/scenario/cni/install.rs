//! `netpath-agent install`: the plugin and its configuration, in place only when pods can come.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    cni::Plugin,
    sandbox::{
        command,
        host::{Host, interfaces},
    },
};

const PLUGIN: &str = "netpath-cni";
const CONFLIST: &str = "10-netpath.conflist";

/// A machine's folders for plugins and configurations.
struct Folders {
    programs: PathBuf,
    configurations: PathBuf,
}

pub(super) fn install(host: &mut Host) -> Result<()> {
    let root = tempfile::tempdir().context("make folders for plugins and configurations")?;
    let [programs, configurations] = ["bin", "net.d"].map(|name| root.path().join(name));
    let folders = Folders { programs, configurations };
    let conflist = folders.configurations.join(CONFLIST);

    host.end_agent()?;
    let outcome = folders.run(host, "install", &["--wait", "1"])?;
    refused(&outcome, "was not ready within 1 s")?;
    ensure!(folders.files()? == [PLUGIN], "without an agent: {:?}", folders.files()?);
    host.start_agent()?;

    succeeded(&folders.run(host, "install", &[])?)?;
    ensure!(folders.files()? == [CONFLIST, PLUGIN], "installed: {:?}", folders.files()?);
    attach(host, &folders)?;

    let before = fs::metadata(&conflist)?;
    host.end_agent()?;
    host.start_agent()?;
    ensure!(fs::metadata(&conflist)?.ino() == before.ino(), "a restart touched the conflist");

    let broken = root.path().join("broken.conflist");
    fs::write(&broken, r#"{ "name": "x", "plugins": [{ "type": "bridge" }] }"#)?;
    let told = broken.display().to_string();
    refused(&folders.run(host, "install", &["--conflist", &told])?, &told)?;
    ensure!(fs::metadata(&conflist)?.ino() == before.ino(), "a refusal touched the conflist");

    for _ in 0..2 {
        succeeded(&folders.run(host, "uninstall", &[])?)?;
        ensure!(folders.files()?.is_empty(), "uninstalled: {:?}", folders.files()?);
    }
    Ok(())
}

/// A pod comes and goes by what was installed.
fn attach(host: &Host, folders: &Folders) -> Result<()> {
    let text = fs::read_to_string(folders.configurations.join(CONFLIST))?;
    let list: Value = serde_json::from_str(&text).context("the conflist")?;
    let mut config = list["plugins"][0].clone();
    config["name"] = list["name"].clone();
    config["cniVersion"] = list["cniVersion"].clone();
    ensure!(config["socket"] == json!(host.ground.socket), "another agent's socket: {list}");

    let plugin = Plugin::new(folders.programs.join(PLUGIN));
    let pod = host.sandbox("installed")?;
    let call = |verb| {
        let call = host.ground.call(verb, pod.name(), &config).with("CNI_NETNS", pod.path());
        host.node().namespace.enter(|| plugin.run(&call))
    };
    call("ADD")?.answer()?;
    ensure!(interfaces(&pod)? == ["lo", "eth0"], "{:?}", interfaces(&pod)?);
    call("DEL")?.silence()
}

impl Folders {
    fn run(&self, host: &Host, verb: &str, more: &[&str]) -> Result<Output> {
        let Self { programs, configurations } = self;
        let mut agent = Command::new(host.lab.programs.agent());
        agent.arg(verb).arg("--bin-dir").arg(programs).arg("--conf-dir").arg(configurations);
        if verb == "install" {
            agent.arg("--socket").arg(&host.ground.socket);
        }
        command::output(agent.args(more))
    }

    /// What is in both.
    fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for folder in [&self.programs, &self.configurations] {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                files.push(entry?.file_name().to_string_lossy().into_owned());
            }
        }
        files.sort();
        Ok(files)
    }
}

fn succeeded(outcome: &Output) -> Result<()> {
    ensure!(outcome.status.code() == Some(0), "expected success: {outcome:?}");
    Ok(())
}

fn refused(outcome: &Output, about: &str) -> Result<()> {
    let told = String::from_utf8_lossy(&outcome.stderr);
    ensure!(outcome.status.code() == Some(1), "expected exit code 1: {outcome:?}");
    ensure!(told.contains(about), "expected {about:?} in: {told}");
    Ok(())
}
