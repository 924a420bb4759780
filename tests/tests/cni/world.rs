//! What a test works with.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use netpath_tests::{
    cni::{Ground, Invocation, Outcome, Plugin},
    sandbox::namespace::Namespace,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;

/// What all tests share: the program and a container's namespace.
#[derive(Debug)]
pub(crate) struct Place {
    program: PathBuf,
    netns: Namespace,
}

impl Place {
    pub(crate) fn make() -> Result<Self> {
        let netns = Namespace::create(&format!("netpath-cni-{}", std::process::id()))?;
        Ok(Self { program: build()?, netns })
    }
}

/// Builds the program: cargo does so by itself only for tests of the program's own package, which
/// could not use this one.
fn build() -> Result<PathBuf> {
    let build = ["build", "--quiet", "-p", "netpath-agent", "--bin", "netpath-cni"];
    let status = Command::new(env!("CARGO")).args(build).status().context("run cargo")?;
    ensure!(status.success(), "netpath-cni can not be built");
    // The tests are in a folder below that of programs.
    let test = env::current_exe()?;
    let folder = test.ancestors().nth(2).context("the folder of programs")?;
    Ok(folder.join("netpath-cni"))
}

/// What a test has for itself.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plugin: Plugin,
    pub(crate) agent: Agent,
    pub(crate) ground: Ground,
    /// A folder for whatever it needs.
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn new(place: &Place) -> Result<Self> {
        let folder = TempDir::new()?;
        let ground = Ground {
            socket: folder.path().join("agent.sock"),
            netns: place.netns.path(),
            plugins: folder.path().to_owned(),
        };
        let agent = Agent::start(&ground.socket)?;
        Ok(Self { plugin: Plugin::new(place.program.clone()), agent, ground, folder })
    }

    pub(crate) fn run(&self, invocation: &Invocation) -> Result<Outcome> {
        self.plugin.run(invocation)
    }

    /// Starts a verb for a container.
    pub(crate) fn call(&self, verb: &str, container: &str, config: &Value) -> Result<Outcome> {
        self.run(&self.ground.call(verb, container, config))
    }
}
