//! TC egress of a parent: what its children, the node and the host stack send.

use super::{
    delivery,
    destination::{self, Destination},
    neighbour,
    source::{self, Sender},
    translate,
};
use crate::{
    Endpoint, FlowKey, Kind, Packet, Path, Reason, Tables, Verdict,
    flow::{GATE_CONNECTIONS, GATE_FLOWS},
    route::TABLE_MAIN,
};

/// Where a packet at TC egress comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Interface index of the parent.
    pub ifindex: u32,
    /// The host stack received the packet and forwards it (`skb->ingress_ifindex` is set).
    pub forwarded: bool,
    /// Number of the network namespace whose socket sent it; 0 where no socket did, as when
    /// someone forwards it, or where the program can not tell.
    pub namespace: u32,
}

/// Decides on a packet that leaves through a parent. `again` tells whether it comes by again: the
/// neighbour table, to which it was handed, has put the parent's Ethernet address in the place of its
/// sender's.
#[inline(always)]
pub fn egress<T: Tables>(
    tables: &T,
    packet: &Packet,
    origin: Origin,
    again: impl Fn() -> bool,
) -> Verdict {
    if packet.kind != Kind::Ip {
        let Origin { ifindex, forwarded, namespace } = origin;
        return special(tables, packet, ifindex, forwarded, namespace);
    }
    match source::check(tables, packet, origin, again) {
        Sender::Endpoint(sender) => {
            from_endpoint(tables, packet, origin, &sender).from(sender.slot)
        }
        Sender::Host => {
            if T::TRANSLATES
                && tables.node_gates() != 0
                && (packet.fragment || translate::is_known(tables, packet))
            {
                return Verdict::translate();
            }
            from_stack(tables, packet, false, false)
        }
        Sender::Forwarded => from_stack(tables, packet, true, false),
        Sender::ForwardedEndpoint(sender) => {
            if T::TRANSLATES
                && tables.gates(sender.slot) & GATE_CONNECTIONS != 0
                && translate::is_known(tables, packet)
            {
                return Verdict::translate();
            }
            from_stack(tables, packet, true, true)
        }
        Sender::Nobody => Verdict::pass(Path::Router, Reason::NoSource),
        Sender::Refused(reason) => Verdict::drop(reason),
    }
}

/// An endpoint chose only a neighbour; the tables choose the path.
#[inline(always)]
fn from_endpoint<T: Tables>(
    tables: &T,
    packet: &Packet,
    origin: Origin,
    sender: &Endpoint,
) -> Verdict {
    if packet.destination_mac.is_group() {
        return Verdict::pass(Path::Router, Reason::Multicast);
    }
    let gates = tables.gates(sender.slot);
    if gates != 0 {
        if gates & GATE_CONNECTIONS != 0 && translate::is_known(tables, packet) {
            return Verdict::translate();
        }
        if gates & GATE_FLOWS != 0 && tables.flow(&FlowKey::of(packet)) {
            return destination::enter(tables, Reason::Flow);
        }
        if gates & GATE_CONNECTIONS != 0 && packet.fragment {
            return Verdict::translate();
        }
    }
    match destination::find(tables, sender.table, packet) {
        Destination::Endpoint(endpoint) => delivery::from_egress(tables, &endpoint),
        Destination::Host => {
            destination::to_host(tables, Reason::HostAddress, origin.ifindex, sender)
        }
        Destination::Service => Verdict::translate(),
        Destination::Route(route) => destination::follow(tables, &route, origin.ifindex, sender),
        Destination::Unknown => Verdict::pass(Path::Router, Reason::NoRoute),
    }
}

/// The host stack has chosen already; only endpoints behind this very parent, which it can not
/// reach by itself, and prefixes to drop are left to decide. Answers to what it `forwarded` to an
/// endpoint, or `for_endpoint`, must come back through it.
#[inline(always)]
fn from_stack<T: Tables>(
    tables: &T,
    packet: &Packet,
    forwarded: bool,
    for_endpoint: bool,
) -> Verdict {
    if packet.destination_mac.is_group() {
        return Verdict::pass(Path::Router, Reason::Multicast);
    }
    match destination::find(tables, TABLE_MAIN, packet) {
        Destination::Endpoint(endpoint) => {
            delivery::from_egress(tables, &endpoint).recorded(forwarded)
        }
        Destination::Service => Verdict::translate(),
        Destination::Route(route) if route.path == Path::Drop as u8 => {
            Verdict::drop(Reason::Blackhole)
        }
        Destination::Host | Destination::Route(_) | Destination::Unknown => {
            Verdict::pass(Path::Router, Reason::StackRouted).recorded(for_endpoint)
        }
    }
}

/// All but plain IP packets.
#[inline(always)]
fn special<T: Tables>(
    tables: &T,
    packet: &Packet,
    ifindex: u32,
    forwarded: bool,
    namespace: u32,
) -> Verdict {
    // In registers, so that nothing else has to be in memory.
    let origin = Origin { ifindex, forwarded, namespace };
    match packet.kind {
        Kind::Malformed => Verdict::drop(Reason::Malformed),
        Kind::DeepHeaders => Verdict::drop(Reason::DeepHeaders),
        Kind::Other => {
            let parent = tables.parent(origin.ifindex);
            let own = parent.is_some_and(|parent| parent.mac.word() == packet.source_mac);
            if own || origin.forwarded {
                Verdict::pass(Path::Router, Reason::NotIp)
            } else {
                Verdict::drop(Reason::SourceMac)
            }
        }
        // A tagged frame belongs to a VLAN interface of the node: no endpoint may send one.
        Kind::Tagged => match source::check(tables, packet, origin, || false) {
            Sender::Refused(Reason::SourceParent)
                if source::is_by_vlan(tables, packet, origin.ifindex) =>
            {
                Verdict::pass(Path::Router, Reason::Tagged)
            }
            Sender::Refused(reason) => Verdict::drop(reason),
            Sender::Endpoint(sender) => Verdict::drop(Reason::TaggedEndpoint).from(sender.slot),
            _ => Verdict::pass(Path::Router, Reason::Tagged),
        },
        _ => neighbour::decide(tables, packet, origin),
    }
}
