//! `cargo xtask build`: the programs that run on nodes and in guests, static.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command;
use crate::progress::step;
use crate::setup;
use crate::workspace::{TARGET, Workspace};

/// Builds the agent's and the tests' programs and returns the folder they are in.
pub(crate) fn programs(workspace: &Workspace) -> Result<PathBuf> {
    setup::toolchain()?;
    setup::linker(workspace)?;
    step("Building the programs (release, static)");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--target", TARGET, "-p", "netpath-agent"]);
    command::run(
        cargo
            .args(["-p", "netpath-tests"])
            .args(PROGRAMS.map(|name| ["--bin", name]).as_flattened()),
    )?;
    for name in STARTED_ANEW {
        let mut cargo = workspace.cargo();
        cargo.args(["rustc", "--release", "--target", TARGET, "-p", "netpath-agent"]);
        command::run(cargo.args(["--bin", name, "--", "-C", "relocation-model=static"]))?;
    }
    Ok(folder(workspace))
}

/// What keeps running once it is started.
const PROGRAMS: [&str; 3] = ["netpath-agent", "netpath-bench", "netpath-sandbox"];

/// What is started for every verb or command. At a fixed address there is nothing to relocate first,
/// and memory that it shares with its last run stays shared.
const STARTED_ANEW: [&str; 2] = ["netpath", "netpath-cni"];

/// The agent with the next ABI number, beside the programs: what tests upgrade to.
pub(crate) const NEXT_AGENT: &str = "netpath-agent-next";

/// Builds it. To be called before [`programs`], which builds the true agent in its place.
pub(crate) fn next_agent(workspace: &Workspace) -> Result<()> {
    setup::toolchain()?;
    setup::linker(workspace)?;
    step("Building an agent to upgrade to");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--target", TARGET, "-p", "netpath-agent"]);
    cargo.args(["--bin", "netpath-agent", "--features", "netpath-common/next-abi"]);
    command::run(&mut cargo)?;
    let folder = folder(workspace);
    let (built, kept) = (folder.join("netpath-agent"), folder.join(NEXT_AGENT));
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(())
}

/// The tests of sockets, beside the programs: each kernel is asked.
pub(crate) const SOCKETS: &str = "netpath-sockets";

/// Builds them.
pub(crate) fn sockets(workspace: &Workspace) -> Result<()> {
    step("Building the tests of sockets");
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-run", "--release", "--target", TARGET, "-p", "netpath-tests"]);
    let output = command::output(cargo.args(["--test", "sockets", "--message-format", "json"]))?;
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

/// Builds a guest's first process. It belongs to this package, so that a guest starts
/// without the dataplane being built.
pub(crate) fn init(workspace: &Workspace) -> Result<PathBuf> {
    setup::toolchain()?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--release", "--target", TARGET]);
    command::run(cargo.args(["-p", "xtask", "--bin", "netpath-init"]))?;
    Ok(folder(workspace).join("netpath-init"))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join(TARGET).join("release")
}
