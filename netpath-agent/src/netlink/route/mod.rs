//! Routes of the kernel.

mod add;
mod list;
mod table;

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::route::RouteProtocol;

/// The mark of our routes: the number of who made them, as `ip route` shows it ("n", taken by
/// nobody in iproute2's `rt_protos`).
pub(super) const PROTOCOL: RouteProtocol = RouteProtocol::Other(110);

/// A route by one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it leads to.
    pub destination: IpNet,
    /// The next hop; `None`: the link itself.
    pub gateway: Option<IpAddr>,
    /// Bytes of the largest packet, if not the interface's.
    pub mtu: Option<u32>,
    /// The metric: the lowest wins. 0 is what the kernel takes if none is given: in IPv6, 1024.
    pub priority: u32,
}

/// A route of ours by an interface, in a table other than the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRoute {
    /// The table.
    pub table: u32,
    /// The interface.
    pub index: u32,
    /// The route.
    pub route: Route,
    /// The node's address to send from.
    pub source: Option<IpAddr>,
}

/// What IPv6 makes of priority 0 (`IP6_RT_PRIO_USER`).
const IPV6_PRIORITY: u32 = 1024;
