//! Who translates what is sent to Services, and how.

use std::{path::PathBuf, time::Duration};

use documented::{Documented, DocumentedFields};
use ipnet::IpNet;
use netpath_common::Path;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::route::{RouteSpec, Table};

/// Who translates what is sent to Services, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// native: netpath, at sockets and at its hooks. kube-proxy: the host's netfilter; netpath leads
    /// there what is for `cidrs`, and has answers come back the same way. off: nobody.
    pub mode: Mode,
    /// Of native: auto translates at sockets when they connect, and the packets of all others. socket
    /// and packet leave one of the two out.
    pub translate: Translate,
    /// The cluster's Service prefixes, such as 10.96.0.0/12 and `fd00:96::/112`. kube-proxy: what leads to
    /// the host. native: pods with a NIC of their own send to the node what is for them.
    pub cidrs: Vec<IpNet>,
    /// A file of Services (JSON, a list), read at the start and whenever it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What this node is called in Services; its host name, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone that this node is in, for topology hints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// random, or maglev: by a hash of the client's address and port, the same on every node.
    pub choice: Choice,
    /// The cgroup (version 2) whose processes have their sockets translated, such as
    /// "/sys/fs/cgroup"; the root of the first that is mounted, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// Seconds after which a translated TCP connection is forgotten that nobody uses.
    pub tcp_seconds: u32,
    /// The same of one that was not yet answered, or was closed.
    pub tcp_brief_seconds: u32,
    /// The same of all other protocols.
    pub udp_seconds: u32,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            translate: Translate::Auto,
            cidrs: Vec::new(),
            file: None,
            node: None,
            zone: None,
            choice: Choice::Random,
            cgroup: None,
            tcp_seconds: 21_600,
            tcp_brief_seconds: 60,
            udp_seconds: 120,
        }
    }
}

impl Services {
    /// Whether netpath translates at sockets.
    #[must_use]
    pub fn at_sockets(&self) -> bool {
        self.mode == Mode::Native && self.translate != Translate::Packet
    }

    /// Whether netpath translates packets.
    #[must_use]
    pub fn at_packets(&self) -> bool {
        self.mode == Mode::Native && self.translate != Translate::Socket
    }

    /// After how long a TCP connection is forgotten, by whether both sides have spoken and none has said
    /// good-bye.
    #[must_use]
    pub const fn tcp_timeout(&self, established: bool) -> Duration {
        let seconds = if established { self.tcp_seconds } else { self.tcp_brief_seconds };
        Duration::from_secs(seconds as u64)
    }
}

impl Config {
    /// The routes to the host's netfilter that come with kube-proxy, but for prefixes that the file
    /// itself leads somewhere.
    pub fn service_routes(&self) -> impl Iterator<Item = RouteSpec> {
        let cidrs = self.services.cidrs.iter().filter(|_| self.services.mode == Mode::KubeProxy);
        let routes = cidrs.map(|prefix| RouteSpec {
            table: Table::MAIN,
            prefix: *prefix,
            path: Path::Kernel,
            via: Vec::new(),
        });
        let taken = |route: &RouteSpec| {
            let same = |own: &RouteSpec| (own.table, own.prefix) == (route.table, route.prefix);
            self.routes.iter().any(same)
        };
        routes.filter(move |route| !taken(route))
    }
}

/// Who translates what is sent to Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// netpath.
    Native,
    /// The host's netfilter.
    KubeProxy,
    /// Nobody.
    Off,
}

/// Where netpath translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Translate {
    /// At sockets, and the packets of all others.
    Auto,
    /// At sockets only.
    Socket,
    /// Packets only.
    Packet,
}

/// How a backend is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// At random.
    Random,
    /// By a hash that gives nearly all flows the backend that they had when backends come and go.
    Maglev,
}

#[cfg(test)]
mod tests;
