//! Routes of the kernel.

mod add;
mod ask;
mod list;
mod table;

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::packet_route::route::RouteProtocol;

pub use self::ask::{Answer, Inquiry};

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

/// A route of ours in a table other than the main one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableRoute {
    /// The table.
    pub table: u32,
    /// What it leads to.
    pub destination: IpNet,
    /// The metric: the lowest wins. 0 is what the kernel takes if none is given.
    pub priority: u32,
    /// Where it leads.
    pub way: Way,
}

impl TableRoute {
    /// Where it stands: there is one of a kind in each place.
    #[must_use]
    pub const fn place(&self) -> (u32, IpNet, u32) {
        (self.table, self.destination, self.priority)
    }
}

/// Where a route of a table leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To an interface.
    Device {
        /// Its index.
        index: u32,
        /// The next hops, of equal weight; none: the link itself.
        gateways: BTreeSet<IpAddr>,
        /// The node's address to send from.
        source: Option<IpAddr>,
    },
    /// Nowhere: `blackhole`.
    Blackhole,
    /// Out of the table, to the rules behind the one that led here: `throw`.
    Throw,
}

/// What IPv6 makes of priority 0 (`IP6_RT_PRIO_USER`).
const IPV6_PRIORITY: u32 = 1024;
