//! ARP and neighbour discovery on a parent.
//!
//! ipvlan shows a child's broadcasts to its siblings and to the wire, never to the host; and the
//! host's to the wire, never to the children. So each would ask in vain for the other's address:
//! the program answers in the place of the one that can not hear, with the parent's Ethernet
//! address, which ipvlan children and the host share. Of macvlan the same is true, but that its
//! children have addresses of their own.

use super::{
    delivery,
    destination::{self, Destination},
    egress::Origin,
    source::{self, Sender},
};
use crate::{Action, Endpoint, Kind, Packet, Path, Reason, Tables, Verdict, route::TABLE_MAIN};

/// Decides on ARP or neighbour discovery.
#[inline(always)]
pub(super) fn decide<T: Tables>(tables: &T, packet: &Packet, origin: Origin) -> Verdict {
    match source::check(tables, packet, origin, || false) {
        Sender::Refused(reason) => Verdict::drop(reason),
        Sender::Nobody => Verdict::pass(Path::Router, Reason::NoSource),
        Sender::Host | Sender::Forwarded | Sender::ForwardedEndpoint(_) => {
            from_stack(tables, packet, origin)
        }
        Sender::Endpoint(sender) => {
            from_endpoint(tables, packet, origin, &sender).from(sender.slot)
        }
    }
}

#[inline(always)]
fn from_endpoint<T: Tables>(
    tables: &T,
    packet: &Packet,
    origin: Origin,
    sender: &Endpoint,
) -> Verdict {
    if packet.claimed_mac != packet.source_mac {
        return Verdict::drop(Reason::NeighbourForged);
    }
    match packet.kind {
        Kind::ArpRequest | Kind::Solicitation => question(tables, packet, origin, sender),
        Kind::RouterMessage => Verdict::drop(Reason::RouterForged),
        Kind::Advertisement if !owns(tables, sender, packet) => {
            Verdict::drop(Reason::NeighbourForged)
        }
        // An answer goes to whoever asked: a sibling, the node, or the wire.
        _ => answer(tables, packet, origin, sender),
    }
}

/// Whether the address that the advertisement speaks for is the sender's.
#[inline(always)]
fn owns<T: Tables>(tables: &T, sender: &Endpoint, packet: &Packet) -> bool {
    tables.endpoint(&packet.speaks_for).is_some_and(|target| target.slot == sender.slot)
}

/// An endpoint asks for the Ethernet address of `packet.destination`.
#[inline(always)]
fn question<T: Tables>(tables: &T, packet: &Packet, origin: Origin, sender: &Endpoint) -> Verdict {
    let answer = |path, mac| {
        Verdict::new(path, Reason::NeighbourAnswered, Action::Answer).at(origin.ifindex, mac)
    };
    // What is sent to the parent's address comes by here, whoever it is for.
    let answered = |path| match destination::parent_mac(tables, origin.ifindex, sender) {
        Some(mac) => answer(path, mac),
        None => wire(),
    };
    match destination::find(tables, sender.table, packet) {
        // Its own address: an announcement, or a probe that others must see.
        Destination::Endpoint(target) if target.slot == sender.slot => wire(),
        // A sibling's is its own, which the driver may have told the asker as well.
        Destination::Endpoint(target) if target.parent == origin.ifindex => {
            answer(Path::Local, target.mac)
        }
        Destination::Endpoint(_) => answered(Path::Local),
        Destination::Host => answered(Path::Host),
        // Of one that is the node's as well; the others may be somebody's on the wire.
        Destination::Service if is_host(tables, packet) => answered(Path::Host),
        Destination::Service | Destination::Unknown => wire(),
        Destination::Route(route) => {
            let verdict = destination::follow(tables, &route, origin.ifindex, sender);
            match verdict.path() {
                Path::Router => wire(),
                Path::Drop => verdict,
                path => answered(path),
            }
        }
    }
}

#[inline(always)]
fn is_host<T: Tables>(tables: &T, packet: &Packet) -> bool {
    tables.endpoint(&packet.destination).is_some_and(|asked| asked.is_host())
}

/// An endpoint answers; the receiver is looked up as for any packet.
#[inline(always)]
fn answer<T: Tables>(tables: &T, packet: &Packet, origin: Origin, sender: &Endpoint) -> Verdict {
    if packet.destination_mac.is_group() {
        return wire();
    }
    match destination::find(tables, TABLE_MAIN, packet) {
        Destination::Endpoint(receiver) => {
            delivery::from_egress(tables, &receiver).because(Reason::Neighbour)
        }
        Destination::Host => {
            destination::to_host(tables, Reason::Neighbour, origin.ifindex, sender)
        }
        Destination::Route(_) | Destination::Service | Destination::Unknown => wire(),
    }
}

/// The node asks, answers or announces: only questions for its endpoints need help.
#[inline(always)]
fn from_stack<T: Tables>(tables: &T, packet: &Packet, origin: Origin) -> Verdict {
    let Destination::Endpoint(endpoint) = destination::find(tables, TABLE_MAIN, packet) else {
        return wire();
    };
    match packet.kind {
        Kind::ArpRequest | Kind::Solicitation => match tables.parent(origin.ifindex) {
            Some(parent) => Verdict::new(Path::Local, Reason::NeighbourAnswered, Action::Answer)
                .at(origin.ifindex, parent.mac),
            None => wire(),
        },
        _ if packet.destination_mac.is_group() => wire(),
        _ => delivery::from_egress(tables, &endpoint).because(Reason::Neighbour),
    }
}

/// The wire asks, answers or announces. Children hear it, and answer for themselves; one with a device
/// of its own, or in L3 mode, does not: the parent answers in its place.
#[inline(always)]
pub(super) fn from_wire<T: Tables>(tables: &T, packet: &Packet, ifindex: u32) -> Verdict {
    let pass = Verdict::pass(Path::Host, Reason::Neighbour);
    if !matches!(packet.kind, Kind::ArpRequest | Kind::Solicitation) {
        return pass;
    }
    let Some(target) = tables.endpoint(&packet.destination) else { return pass };
    if !target.is_silent() || target.parent != ifindex {
        return pass;
    }
    match tables.parent(ifindex) {
        Some(parent) => Verdict::new(Path::Local, Reason::NeighbourAnswered, Action::Reply)
            .at(ifindex, parent.mac),
        None => pass,
    }
}

#[inline(always)]
const fn wire() -> Verdict {
    Verdict::pass(Path::Router, Reason::Neighbour)
}
