//! What goes over the socket, the same types on both sides.

mod explain;
mod protocol;
mod status;

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::{
    explain::{Explanation, KernelAnswer, Question, Step, Verdict},
    protocol::{NoProtocol, Protocol},
    status::{Entry, Hook, Map, Masquerade, Parent, SocketHook, Sockets, Status, Xdp},
};
use crate::{
    endpoint::EndpointSpec,
    route::{RouteSpec, Table},
};

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

/// A connection whose packets are translated: to a Service, and back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// icmp, tcp, udp or a number.
    pub protocol: String,
    /// Who began.
    pub client: IpAddr,
    /// The client's port.
    pub client_port: u16,
    /// The address that the client knows.
    pub service: IpAddr,
    /// The port that the client knows.
    pub service_port: u16,
    /// Who answers.
    pub backend: IpAddr,
    /// The backend's port.
    pub backend_port: u16,
    /// Whom the backend sees, if not the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The port that the backend sees, if client or port are hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Of TCP syn, established, closing or closed; of others unreplied or replied.
    pub state: String,
    /// Seconds since a packet came by in either direction. Packets renew it once a second.
    pub idle_seconds: u64,
    /// Seconds until it is forgotten, if no packet comes by.
    pub expires_seconds: u64,
}

/// Which connections to list.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    /// Only those of this protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Only those that this address has a part in: as client, Service or backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<IpAddr>,
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
