//! Services that netpath translates by itself.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Fabric;

/// Where netpath translates; words as in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translate {
    /// Packets only.
    Packet,
    /// At sockets, and the packets of all others. Everything that is started in a node or its pods is
    /// in the node's cgroup.
    Auto,
}

/// The prefixes that Services are from.
pub(super) const CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/64"];

impl Translate {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Packet, Self::Auto];

    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Auto => "auto",
        }
    }

    /// What stands in the configuration of a node.
    pub(super) fn configuration(self, node: &str, cgroup: Option<&Path>) -> String {
        let translate = self.name();
        let cgroup =
            cgroup.map_or_else(String::new, |path| format!("cgroup = \"{}\"\n", path.display()));
        format!(
            "[services]\nmode = \"native\"\ntranslate = {translate:?}\ncidrs = {CIDRS:?}\n\
             node = {node:?}\n{cgroup}"
        )
    }
}

impl Fabric {
    /// Gives every node a Service, or a list of them.
    pub fn apply(&self, services: &Value) -> Result<()> {
        (0..self.nodes.len()).try_for_each(|node| self.apply_at(node, services))
    }

    /// The same of one node.
    pub fn apply_at(&self, node: usize, services: &Value) -> Result<()> {
        let apply = ["service", "apply", "-f", "-"];
        let applied = self.agents[node].netpath_with_input(&apply, &services.to_string());
        applied.map(drop).with_context(|| format!("Services of {}", self.nodes[node].name))
    }
}
