//! Where an address leads: endpoints, then the sender's table, then the main one.

use super::translate;
use crate::{
    Action, Address, Endpoint, FlowKey, Mac, Packet, Path, Reason, Route, RouteKey, Tables,
    Verdict,
    endpoint::{FLAG_NODE_PORTS, FLAG_ROUTED, FLAG_SERVICE},
    route::TABLE_MAIN,
};

/// Where an address leads. It borrows from the tables: copies of their values would cost the
/// programs more than the lookups.
pub(super) enum Destination<'a, T: Tables + 'a> {
    /// To an endpoint of this node.
    Endpoint(T::Ref<'a, Endpoint>),
    /// To the node itself: one of its addresses.
    Host,
    /// To an address of a Service, at a port that may be one.
    Service,
    /// To where a prefix of a route table says.
    Route(T::Ref<'a, Route>),
    /// Nothing on this node knows.
    Unknown,
}

/// Finds where a packet leads for a sender with this route table.
///
/// The most specific prefix wins. An endpoint, or an address of the node, is as specific as an
/// address gets, so it is looked up first; a full-length prefix in a table overrides it, and the
/// endpoint's flag tells whether there can be one. Between tables, the sender's own wins.
#[inline(always)]
pub(super) fn find<'a, T: Tables>(
    tables: &'a T,
    table: u32,
    packet: &Packet,
) -> Destination<'a, T> {
    let address = &packet.destination;
    let Some(endpoint) = tables.endpoint(address) else {
        return match route(tables, table, address) {
            Some(route) => Destination::Route(route),
            None => Destination::Unknown,
        };
    };
    if endpoint.flags & (FLAG_ROUTED | FLAG_SERVICE | FLAG_NODE_PORTS) != 0 {
        if endpoint.is_routed()
            && let Some(route) = full_route(tables, table, address)
        {
            return Destination::Route(route);
        }
        if translate::may_be_service(tables, packet, &endpoint) {
            return Destination::Service;
        }
    }
    if endpoint.is_host() { Destination::Host } else { Destination::Endpoint(endpoint) }
}

/// The same of a packet that has been translated: what answers for a Service is none.
#[inline(always)]
pub(super) fn behind_service<'a, T: Tables>(
    tables: &'a T,
    table: u32,
    address: &Address,
) -> Destination<'a, T> {
    match tables.endpoint(address) {
        Some(endpoint) if endpoint.is_host() => Destination::Host,
        Some(endpoint) if !endpoint.is_service() => Destination::Endpoint(endpoint),
        _ => match route(tables, table, address) {
            Some(route) => Destination::Route(route),
            None => Destination::Unknown,
        },
    }
}

/// The most specific prefix of the sender's table, else of the main one.
#[inline(always)]
pub(super) fn route<'a, T: Tables>(
    tables: &'a T,
    table: u32,
    address: &Address,
) -> Option<T::Ref<'a, Route>> {
    if table != TABLE_MAIN
        && let Some(route) = look_up(tables, table, address)
    {
        return Some(route);
    }
    look_up(tables, TABLE_MAIN, address)
}

/// The most specific prefix of a table.
#[inline(always)]
fn look_up<'a, T: Tables>(
    tables: &'a T,
    table: u32,
    address: &Address,
) -> Option<T::Ref<'a, Route>> {
    let route = tables.route(&RouteKey::lookup(table, *address))?;
    if route.is_for(address) { Some(route) } else { None }
}

/// A prefix of full length in the sender's table, else in the main one.
#[inline(always)]
fn full_route<'a, T: Tables>(
    tables: &'a T,
    table: u32,
    address: &Address,
) -> Option<T::Ref<'a, Route>> {
    if table != TABLE_MAIN
        && let Some(route) = look_up(tables, table, address)
        && route.is_full()
    {
        return Some(route);
    }
    let route = look_up(tables, TABLE_MAIN, address)?;
    if route.is_full() { Some(route) } else { None }
}

/// To the node itself, for what an endpoint sent from the parent `ifindex`: the parent receives it
/// under its own Ethernet address.
#[inline(always)]
pub(super) fn to_host<T: Tables>(
    tables: &T,
    reason: Reason,
    ifindex: u32,
    sender: &Endpoint,
) -> Verdict {
    match parent_mac(tables, ifindex, sender) {
        Some(mac) => Verdict::new(Path::Host, reason, Action::Receive).at(ifindex, mac),
        None => Verdict::drop(Reason::SourceParent),
    }
}

/// The Ethernet address of the parent that an endpoint sends from: its own, for ipvlan, which spares
/// a lookup.
#[inline(always)]
pub(super) fn parent_mac<T: Tables>(tables: &T, ifindex: u32, sender: &Endpoint) -> Option<Mac> {
    if sender.has_own_mac() {
        return tables.parent(ifindex).map(|parent| parent.mac);
    }
    Some(sender.mac)
}

/// The verdict of a route for a packet that an endpoint sent from the parent `ifindex`.
#[inline(always)]
pub(super) fn follow<T: Tables>(
    tables: &T,
    route: &Route,
    ifindex: u32,
    sender: &Endpoint,
) -> Verdict {
    match Path::from_u8(route.path) {
        Some(Path::Router) => {
            let action = if route.has_next_hop() { Action::NextHop } else { Action::Pass };
            Verdict::new(Path::Router, Reason::Route, action).at(ifindex, sender.mac)
        }
        Some(Path::Host) => to_host(tables, Reason::Route, ifindex, sender),
        Some(Path::Kernel) => enter(tables, Reason::Route),
        Some(Path::Local) => Verdict::drop(Reason::NoEndpoint),
        Some(Path::Drop) | None => Verdict::drop(Reason::Blackhole),
    }
}

/// The next hop of a packet whose verdict is [`Action::NextHop`].
#[inline(always)]
pub fn next_hop<T: Tables>(tables: &T, packet: &Packet) -> Option<Address> {
    route_of(tables, packet)?.next_hop(FlowKey::of(packet).digest())
}

/// The route of a packet whose verdict is [`Action::NextHop`].
#[inline(always)]
pub fn route_of<'a, T: Tables>(tables: &'a T, packet: &Packet) -> Option<T::Ref<'a, Route>> {
    let table = tables.endpoint(&packet.source)?.table;
    route(tables, table, &packet.destination)
}

/// The kernel path: by the kernel entry, a device without an rx_handler that could take the packet.
#[inline(always)]
pub(super) fn enter<T: Tables>(tables: &T, reason: Reason) -> Verdict {
    match tables.node() {
        Some(node) if node.entry != 0 => {
            Verdict::new(Path::Kernel, reason, Action::Enter).at(node.entry, node.entry_mac)
        }
        _ => Verdict::drop(Reason::NoKernelEntry),
    }
}

/// Whether a prefix of the main table drops the address. Costs nothing while no prefix drops.
#[inline(always)]
pub(super) fn is_blackhole<T: Tables>(tables: &T, address: &Address) -> bool {
    tables.node().is_some_and(|node| node.has_blackholes())
        && look_up(tables, TABLE_MAIN, address).is_some_and(|route| route.path == Path::Drop as u8)
}
