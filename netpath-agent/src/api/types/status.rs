//! How the node is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{config::Vlan, masquerade::MasqueradeSpec};

/// How the node is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The version of the map layouts.
    pub abi: u32,
    /// The kernel's release.
    pub kernel: String,
    /// Where maps and links are pinned.
    pub pins: String,
    /// Seconds since the agent started.
    pub uptime_seconds: u64,
    /// Endpoints of the node.
    pub endpoints: usize,
    /// Routes, configured and added.
    pub routes: usize,
    /// Services, of the file and added.
    #[serde(default)]
    pub services: usize,
    /// What is masqueraded, table by table.
    pub masquerade: Vec<Masquerade>,
    /// Whose sockets are translated, if any are to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Sockets>,
    /// The hook of the loopback device, while it is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loopback: Option<Hook>,
    /// What had to be put right since the agent started, by kind.
    pub repairs: BTreeMap<String, u64>,
    /// The kernel entry: where the kernel path enters the host stack.
    pub entry: Entry,
    /// The parents, by name.
    pub parents: Vec<Parent>,
    /// The kernel's tables.
    pub maps: Vec<Map>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A table whose endpoints are masqueraded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Masquerade {
    /// As in the configuration.
    #[serde(flatten)]
    pub spec: MasqueradeSpec,
    /// Addresses of endpoints that it holds for.
    pub addresses: usize,
}

/// The cgroup whose processes have their sockets translated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sockets {
    /// Its directory, once it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Its hooks that have their program.
    pub hooks: Vec<SocketHook>,
    /// Why not all of them have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A hook of a cgroup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SocketHook {
    /// connect4, sendmsg6, ...
    pub hook: String,
    /// The kernel's number of the program, as in `bpftool prog`.
    pub program: u32,
    /// The kernel's number of the link, as in `bpftool link`.
    pub link: u32,
}

/// The kernel entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The device.
    pub interface: String,
    /// Its index.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: String,
}

/// A parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parent {
    /// Its name.
    pub name: String,
    /// What the kernel calls its device.
    pub device: String,
    /// What that is: nic, bond, vlan, veth, ...
    pub kind: String,
    /// The VLAN, if it is configured as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// Its index.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: String,
    /// Administratively up.
    pub up: bool,
    /// Endpoints on it.
    pub endpoints: usize,
    /// Who switches between siblings: parent or driver.
    pub switching: String,
    /// What that means, where it costs something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The hooks and how they are attached.
    pub hooks: Vec<Hook>,
    /// Where XDP runs.
    pub xdp: Xdp,
}

/// A hook on a parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hook {
    /// egress or ingress.
    pub hook: String,
    /// tcx or clsact.
    pub attached: String,
    /// The kernel's number of the program, as in `bpftool prog`.
    pub program: u32,
    /// The kernel's number of the link, as in `bpftool link`; clsact has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u32>,
}

/// Where XDP runs, and why there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Xdp {
    /// off, native or generic.
    pub mode: String,
    /// Why.
    pub reason: String,
    /// The kernel's number of the program, unless off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<u32>,
}

/// A table of the kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub used: u64,
    /// Entries it can hold.
    pub capacity: u64,
}
