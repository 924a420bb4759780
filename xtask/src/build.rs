//! `cargo xtask build`: the programs that run on nodes and in guests, static.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::arch::Arch;
use crate::command;
use crate::progress::step;
use crate::setup;
use crate::workspace::Workspace;

/// Builds the agent's and the tests' programs and returns the folder they are in.
pub(crate) fn programs(workspace: &Workspace) -> Result<PathBuf> {
    HERE.prepare(workspace)?;
    step("Building the programs (release, static)");
    let mut cargo = HERE.cargo(workspace, "build");
    cargo.args(["-p", "netpath-agent", "-p", "netpath-tests"]);
    command::run(cargo.args(PROGRAMS.map(|name| ["--bin", name]).as_flattened()))?;
    started_anew(workspace, HERE)?;
    Ok(folder(workspace))
}

/// Builds what an image holds and returns the files.
pub(crate) fn shipped(workspace: &Workspace, arch: Arch) -> Result<[PathBuf; 3]> {
    arch.prepare(workspace)?;
    step(format!("Building netpath for {} (release, static)", arch.name()));
    let mut cargo = arch.cargo(workspace, "build");
    command::run(cargo.args(["-p", "netpath-agent", "--bin", "netpath-agent"]))?;
    started_anew(workspace, arch)?;
    let folder = workspace.target.join(arch.target()).join("release");
    Ok(SHIPPED.map(|name| folder.join(name)))
}

fn started_anew(workspace: &Workspace, arch: Arch) -> Result<()> {
    for name in STARTED_ANEW {
        let mut cargo = arch.cargo(workspace, "rustc");
        cargo.args(["-p", "netpath-agent", "--bin", name, "--", "-C", "relocation-model=static"]);
        command::run(&mut cargo)?;
    }
    Ok(())
}

/// What runs on this machine and in guests.
const HERE: Arch = Arch::Amd64;

/// What an image holds.
pub(crate) const SHIPPED: [&str; 3] = ["netpath", "netpath-agent", "netpath-cni"];

/// What keeps running once it is started.
const PROGRAMS: [&str; 3] = ["netpath-agent", "netpath-bench", "netpath-sandbox"];

/// What is started for every verb or command. At a fixed address there is nothing to relocate first,
/// and memory that it shares with its last run stays shared.
const STARTED_ANEW: [&str; 2] = ["netpath", "netpath-cni"];

/// The agent with the next ABI number, beside the programs: what tests upgrade to.
pub(crate) const NEXT_AGENT: &str = "netpath-agent-next";

/// Builds it. To be called before [`programs`], which builds the true agent in its place. Not optimised,
/// which would take minutes, where a test of an upgrade takes half a minute longer: it only has to start,
/// to take over and to be taken over from.
pub(crate) fn next_agent(workspace: &Workspace) -> Result<()> {
    HERE.prepare(workspace)?;
    step("Building an agent to upgrade to");
    let mut cargo = HERE.cargo(workspace, "build");
    cargo.args(["-p", "netpath-agent", "--bin", "netpath-agent"]);
    cargo.args(["--features", "netpath-common/next-abi"]);
    cargo.args(["--config", "profile.release.package.netpath-agent.opt-level=0"]);
    command::run(&mut command::gently(&cargo))?;
    let folder = folder(workspace);
    let (built, kept) = (folder.join("netpath-agent"), folder.join(NEXT_AGENT));
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(())
}

/// The tests of sockets, beside the programs: each kernel is asked.
pub(crate) const SOCKETS: &str = "netpath-sockets";

/// Builds them, as for this machine: cargo builds tests to unwind, so static ones would want all that they
/// depend on built once more.
pub(crate) fn sockets(workspace: &Workspace) -> Result<()> {
    step("Building the tests of sockets");
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-run", "-p", "netpath-tests", "--test", "sockets"]);
    let output = command::output(cargo.args(["--message-format", "json"]))?;
    let messages = output.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut built = messages.filter_map(|message: serde_json::Value| {
        let is_test = message["target"]["name"] == "sockets";
        message["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
    });
    let built = built.next().context("cargo built no tests of sockets")?;
    let kept = folder(workspace).join(SOCKETS);
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(())
}

/// The shared libraries that a program is started with, the loader among them.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = command::output(Command::new("ldd").arg(program))?;
    let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

/// Builds a guest's first process. It belongs to this package, so that a guest starts
/// without the dataplane being built.
pub(crate) fn init(workspace: &Workspace) -> Result<PathBuf> {
    setup::toolchain()?;
    let mut cargo = HERE.cargo(workspace, "build");
    command::run(cargo.args(["--quiet", "-p", "xtask", "--bin", "netpath-init"]))?;
    Ok(folder(workspace).join("netpath-init"))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join(HERE.target()).join("release")
}
