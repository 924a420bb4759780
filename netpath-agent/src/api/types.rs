//! What goes over the socket, the same types on both sides.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    config::Vlan,
    endpoint::EndpointSpec,
    masquerade::MasqueradeSpec,
    name::InterfaceName,
    route::{RouteSpec, Table},
};

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
    /// What is masqueraded, table by table.
    pub masquerade: Vec<Masquerade>,
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

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What was asked for, and how it was wired if that was left open.
    #[serde(flatten)]
    pub spec: EndpointSpec,
    /// The Ethernet address: its parent's, or one of its own.
    pub mac: Option<String>,
    /// The link-local address that the agent chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Ipv6Addr>,
}

/// What adding did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Added<T> {
    /// `false`: the same was there already.
    pub created: bool,
    /// What is there now.
    #[serde(flatten)]
    pub item: T,
}

/// A route of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The route.
    #[serde(flatten)]
    pub spec: RouteSpec,
    /// config, or runtime for those that were added.
    pub origin: String,
}

/// Which routes to list.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFilter {
    /// Only this table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
}

/// Which route is meant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteName {
    /// Its table.
    #[serde(default)]
    pub table: Table,
    /// Its prefix.
    pub prefix: IpNet,
}

/// A flow whose packets take the kernel path, as these packets carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// icmp, tcp, udp or a number.
    pub protocol: String,
    /// The sender.
    pub source: IpAddr,
    /// The sender's port; an echo's identifier.
    pub source_port: u16,
    /// The receiver.
    pub destination: IpAddr,
    /// The receiver's port; an echo's identifier.
    pub destination_port: u16,
    /// The endpoints at its ends.
    pub endpoints: Vec<String>,
    /// Seconds since the host stack last forwarded what it answers. Packets renew it once a second.
    pub idle_seconds: u64,
    /// How far the host stack says that it has come, as established; fragments for those of all flows
    /// between the two addresses. Nothing if the host stack knows nothing of it.
    pub state: Option<String>,
    /// Seconds until the host stack forgets it, if no packet comes by.
    pub expires_seconds: Option<u64>,
}

/// What happened at a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// The parent.
    pub parent: String,
    /// egress, ingress or xdp.
    pub hook: String,
    /// The path taken.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Packets; a GSO packet counts once.
    pub packets: u64,
    /// Bytes with the link layer header.
    pub bytes: u64,
}

/// What an endpoint received and sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCounter {
    /// The endpoint.
    pub name: String,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// A question to the decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who sends: an address, or the name of an endpoint.
    pub source: String,
    /// To whom: an address, or the name of an endpoint.
    pub destination: String,
    /// icmp, tcp, udp or a number.
    #[serde(default)]
    pub protocol: Protocol,
    /// The sender's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// The receiver's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// The parent that the packet crosses; where only one can be meant, it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<InterfaceName>,
    /// The mark that the host stack is asked with, as netfilter may have set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
}

/// An IP protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// ICMP, or `ICMPv6` between IPv6 addresses.
    #[default]
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Any other, by number.
    Number(u8),
}

/// A protocol that is neither known by name nor a number.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no protocol; write icmp, tcp, udp or a number from 0 to 255")]
pub struct NoProtocol(String);

impl Protocol {
    /// The number in the header of a packet to this address.
    #[must_use]
    pub const fn number(self, destination: IpAddr) -> u8 {
        match self {
            Self::Icmp if destination.is_ipv6() => 58,
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Number(number) => number,
        }
    }
}

impl std::str::FromStr for Protocol {
    type Err = NoProtocol;

    fn from_str(text: &str) -> Result<Self, NoProtocol> {
        match text {
            "icmp" => Ok(Self::Icmp),
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => text.parse().map(Self::Number).map_err(|_| NoProtocol(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Protocol {
    type Error = NoProtocol;

    fn try_from(text: String) -> Result<Self, NoProtocol> {
        text.parse()
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Icmp => "icmp".to_owned(),
            Protocol::Tcp => "tcp".to_owned(),
            Protocol::Udp => "udp".to_owned(),
            Protocol::Number(number) => number.to_string(),
        }
    }
}

/// The decision's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The hook that decides: egress for what this node sends, ingress for what comes to it.
    pub hook: String,
    /// What was asked, and answered on the way, in order.
    pub steps: Vec<Step>,
    /// The answer.
    pub verdict: Verdict,
    /// The host stack's answer for the same packet; none to what never comes to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelAnswer>,
    /// Both disagree on the device or the next hop.
    pub drift: bool,
}

/// What the host stack would do with a packet that reached it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum KernelAnswer {
    /// Send it.
    Sent {
        /// By this interface.
        interface: String,
        /// To this next hop; the destination itself, if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gateway: Option<IpAddr>,
        /// The table that says so.
        table: Table,
        /// With the address of the interface for its source, if the sender began.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        masqueraded: bool,
    },
    /// Take it for the node's own.
    Received,
    /// Neither.
    Refused {
        /// The kernel's word for it.
        reason: String,
    },
}

/// A question that the decision asked of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was asked.
    pub question: String,
    /// What the table said.
    pub answer: String,
}

/// What happens to the packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Where it goes.
    pub path: String,
    /// Why.
    pub reason: String,
    /// What the program does with it.
    pub action: String,
    /// The next hop, where a route chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
}

/// Why a request failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, what was expected, what to do: one line.
    pub error: String,
    /// The field that is wrong, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What programs tell failures apart by: one of [`crate::pod::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
