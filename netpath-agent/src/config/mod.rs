//! The configuration file: TOML, unknown keys are errors, every key has a default.

mod announce;
mod check;
mod default;
mod error;
mod identity;
mod ipam;
mod kubernetes;
mod load;
mod services;

use std::{net::IpAddr, path::PathBuf};

use documented::{Documented, DocumentedFields};
use ipnet::IpNet;
use netpath_common::Mac;
use serde::{Deserialize, Serialize};

pub use self::{
    announce::{Announce, OnConflict},
    default::default_file,
    error::Error,
    identity::{Identity, Vlan},
    ipam::Ipam,
    kubernetes::Kubernetes,
    services::{Choice, Mode, Services, Translate},
};
use crate::{
    attachment::Attachment, ipam::PoolSpec, masquerade::MasqueradeSpec, name::InterfaceName,
    pci::PciAddress, route::RouteSpec, rule::RuleSpec, service::local::LocalSpec,
};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the agent keeps its things.
    pub agent: Agent,
    /// What the agent writes to standard error.
    pub log: Log,
    /// How the programs are attached and watched over.
    pub datapath: Datapath,
    /// How much the kernel tables hold.
    pub capacity: Capacity,
    /// What the wire is asked and told.
    pub announce: Announce,
    /// How addresses are handed out, over all pools.
    pub ipam: Ipam,
    /// Who translates what is sent to Services, and how.
    pub services: Services,
    /// Whether the agent takes part in a Kubernetes cluster, and how it reaches the API server.
    pub kubernetes: Kubernetes,
    /// The parents, in any order.
    #[serde(rename = "parent")]
    pub parents: Vec<Parent>,
    /// Routes that are there from the start.
    #[serde(rename = "route")]
    pub routes: Vec<RouteSpec>,
    /// Which table is asked for whom. The order counts for those by source.
    #[serde(rename = "rule")]
    pub rules: Vec<RuleSpec>,
    /// What leaves with the node's address, a table each.
    #[serde(rename = "masquerade")]
    pub masquerades: Vec<MasqueradeSpec>,
    /// Addresses for pods. The order counts.
    #[serde(rename = "pool")]
    pub pools: Vec<PoolSpec>,
    /// Services that lead to backends on this node.
    #[serde(rename = "local_service")]
    pub local_services: Vec<LocalSpec>,
}

/// Where the agent keeps its things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// The unix socket that `netpath` talks to. Only root may open it. At most 107 bytes.
    pub socket: PathBuf,
    /// The directory of the store (endpoints and routes added at runtime) and of the lock.
    pub state: PathBuf,
    /// The directory below a bpf file system where maps and links are pinned, in a directory
    /// named after the ABI version.
    pub pins: PathBuf,
    /// Whether that file system is mounted if it is missing. In a container such a mount would end
    /// with it, and the dataplane too: say false there, and have the host mount it.
    pub mount: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            socket: "/run/netpath/agent.sock".into(),
            state: "/var/lib/netpath".into(),
            pins: "/sys/fs/bpf/netpath".into(),
            mount: true,
        }
    }
}

/// What the agent writes to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// error, warn, info, debug, trace, or a filter such as
    /// `info,netpath_agent::netlink=debug`.
    /// `--log-level` and `NETPATH_LOG` go before it.
    pub level: String,
    /// text for people, json for collectors: one object a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How the programs are attached and watched over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Datapath {
    /// auto, tcx (links, Linux 6.6 and later) or netlink (clsact filters, any kernel).
    /// auto takes tcx where the kernel has it.
    pub attach: Attach,
    /// Seconds between two full comparisons of the desired state with the kernel's.
    /// Changes of links and addresses are acted upon at once; this finds what sent no event.
    pub reconcile_seconds: u32,
}

impl Default for Datapath {
    fn default() -> Self {
        Self { attach: Attach::Auto, reconcile_seconds: 30 }
    }
}

/// The generation of TC hooks to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// tcx where the kernel has it, else netlink.
    Auto,
    /// tcx links (Linux 6.6).
    Tcx,
    /// `cls_bpf` filters on a clsact qdisc.
    Netlink,
}

/// How much the kernel tables hold. Maps are created once with these sizes: to change one,
/// run `netpath-agent cleanup` first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Capacity {
    /// Addresses that the node knows: its own and those of its endpoints.
    pub endpoints: u32,
    /// Route prefixes over all tables.
    pub routes: u32,
    /// Flows whose way back is pinned; the oldest gives way when full.
    pub flows: u32,
    /// Addresses and ports of Services; node ports count once.
    pub services: u32,
    /// Backends of all Services. A Service may list each four times as often.
    pub backends: u32,
    /// Flows that are translated for Services; two of them are one connection.
    pub connections: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            endpoints: 100_000,
            routes: 100_000,
            flows: 65_536,
            services: 65_536,
            backends: 131_072,
            connections: 262_144,
        }
    }
}

/// A NIC (or bond, or VLAN on one) that endpoints sit on. A node may have several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// What the parent is called, by endpoints, networks and tables. Without one of the next three
    /// keys, its device is the one of this name. That must be up, and no bridge port, bond member or
    /// macvlan master.
    pub name: InterfaceName,
    /// The Ethernet address by which its device is found, whatever the kernel calls that today: the
    /// one that it came with, or has. Such as "02:00:00:00:00:01".
    #[serde(default, with = "identity::text", skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The place where its device is plugged in, by which it is found in the same way. Such as
    /// "0000:00:04.0".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<PciAddress>,
    /// The VLAN that it is, of this number on another parent or device. Such as
    /// { on = "bond0", id = 100 }. It is made, and called as the parent, if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// The subnets on it. What is sent from one of them by the host stack leaves by this parent,
    /// by a rule and a table of its own: nodes with several parents need it.
    #[serde(default)]
    pub subnets: Vec<IpNet>,
    /// The VPC's routers on it, at most one a family: where that table's default routes lead.
    #[serde(default)]
    pub routers: Vec<IpAddr>,
    /// The number of that table. Without it, the first parent has none, for the main table is
    /// its; the others have 1000 and their place in this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// How endpoints are wired to it that ask for nothing else: ipvlan-l2 (they share its Ethernet
    /// address), ipvlan-l3 and ipvlan-l3s (the node routes what they send), macvlan (each has an
    /// Ethernet address of its own) or policy-route (veth pairs and routes). A parent takes children
    /// of one kind, and policy-route beside them. exclusive gives the NIC away, to one pod whole.
    #[serde(default)]
    pub attachment: Attachment,
    /// parent: every packet crosses netpath's hooks, those between siblings included.
    /// driver: the kernel's driver switches between siblings by itself: faster, but neither
    /// counted nor checked.
    #[serde(default)]
    pub switching: Switching,
    /// Whether netpath carries the packets of policy-route endpoints past the host stack. If not,
    /// the host's routes, rules and netfilter see them all.
    #[serde(default = "yes")]
    pub accelerate: bool,
    /// off, native, generic or auto. XDP drops what is dropped anyway before the kernel
    /// allocates a packet, and costs every other packet a little; native on a veth costs a lot.
    /// auto takes native where the driver has it and is not veth, else leaves XDP off.
    #[serde(default)]
    pub xdp: Xdp,
}

const fn yes() -> bool {
    true
}

impl Config {
    /// The parent whose network an address is on; the first, if it is on none's.
    #[must_use]
    pub fn parent_of(&self, address: IpAddr) -> Option<&Parent> {
        let has = |parent: &&Parent| parent.subnets.iter().any(|it| it.contains(&address));
        self.parents.iter().find(has).or(self.parents.first())
    }
}

impl Parent {
    /// What the default file shows.
    fn example() -> Self {
        Self {
            name: InterfaceName::ETH0,
            mac: None,
            pci: None,
            vlan: None,
            subnets: Vec::new(),
            routers: Vec::new(),
            table: None,
            attachment: Attachment::default(),
            switching: Switching::default(),
            accelerate: true,
            xdp: Xdp::default(),
        }
    }
}

/// Who switches between two endpoints of one parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switching {
    /// netpath, at the parent's hooks: children are in VEPA mode.
    #[default]
    Parent,
    /// The driver of ipvlan or macvlan, in bridge mode.
    Driver,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Xdp {
    /// Nowhere.
    #[default]
    Off,
    /// In the driver.
    Native,
    /// In the stack, before TC: any device.
    Generic,
    /// Wherever it pays on this device; `netpath status` says what was chosen and why.
    Auto,
}

#[cfg(test)]
mod tests;
