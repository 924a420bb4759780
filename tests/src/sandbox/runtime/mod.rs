//! Real container runtimes on a node of the sandbox: their own daemons, storage and network
//! configuration, all in a folder of the sandbox, and containers that run this very program.
//!
//! A node is a network namespace, and a runtime that is started inside it takes it for the
//! host's: CNI plugins are its children (containerd's by `ctr`, podman's by itself) and find
//! the node's parent NIC. Mounts stay the guest's, cgroups with them; `ip netns exec` would
//! mount another /sys, without cgroups.

pub mod containerd;
pub mod daemonset;
pub mod image;
pub mod network;
pub mod podman;

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result};

use super::question::Answer;

/// How long a runtime may take for one command: in an emulated guest a container starts in
/// about ten seconds.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A runtime on one node.
pub trait Runtime {
    /// Starts a container that answers echo requests, with the network that `configuration`
    /// (a CNI network configuration list) says; returns when it is ready to answer.
    fn start(&mut self, name: &str, configuration: &network::List) -> Result<()>;

    /// Runs this program in a running container and returns its standard output.
    fn exec(&self, name: &str, words: &[String]) -> Result<String>;

    /// Ends a container and removes it, its network included.
    fn remove(&mut self, name: &str) -> Result<()>;

    /// Asks from inside a container, everything at once.
    fn ask(&self, name: &str, targets: &[IpAddr]) -> Result<Vec<Answer>> {
        let mut words = vec!["ask".to_owned()];
        words.extend(targets.iter().map(IpAddr::to_string));
        let text = self.exec(name, &words).with_context(|| format!("ask from {name}"))?;
        serde_json::from_str(&text).with_context(|| format!("answers from {name}: {text:?}"))
    }
}
