//! TC hooks of an endpoint's own device: the node's side of its veth pair.
//!
//! The endpoint's only neighbour is the node, so that the packets show at this one place, whoever they
//! are for; and the device tells who sent them. What the host stack has for the endpoint comes by
//! here as well.

use super::{
    delivery,
    destination::{self, Destination},
    egress::Origin,
    translate,
};
use crate::{
    Action, Endpoint, FlowKey, Kind, Packet, Path, Reason, Tables, Verdict,
    flow::{GATE_CONNECTIONS, GATE_FLOWS},
};

/// Decides on what an endpoint sends by its device `ifindex`, and names the endpoint's parent, with
/// which it is counted; 0 if the sender is unknown.
#[inline(always)]
pub fn from_endpoint<T: Tables>(tables: &T, packet: &Packet, ifindex: u32) -> (Verdict, u32) {
    let Some(sender) = tables.endpoint(&packet.source) else {
        return (nobody(packet), 0);
    };
    if sender.device != ifindex {
        return (Verdict::drop(Reason::SourceDevice), 0);
    }
    let verdict = if sender.mac.word() == packet.source_mac {
        known(tables, packet, &sender)
    } else {
        Verdict::drop(Reason::SourceMac)
    };
    let mut parent = sender.parent;
    if parent == 0 && verdict.action == Action::Translate {
        // It gave its NIC to its endpoint: what is asked at one of the node's addresses, or answered, goes
        // by the parent that has it.
        parent = tables.endpoint(&packet.destination).map_or(0, |host| host.parent);
    }
    (verdict.from(sender.slot), parent)
}

#[inline(always)]
fn known<T: Tables>(tables: &T, packet: &Packet, sender: &Endpoint) -> Verdict {
    if packet.kind != Kind::Ip {
        return special(packet);
    }
    if packet.destination_mac.is_group() {
        return Verdict::pass(Path::Host, Reason::Multicast);
    }
    let gates = tables.gates(sender.slot);
    if sender.is_stacked() {
        return if translate::ends_here(tables, packet, gates) {
            Verdict::translate()
        } else {
            Verdict::pass(Path::Kernel, Reason::NotAccelerated)
        };
    }
    if gates != 0 {
        if gates & GATE_CONNECTIONS != 0 && translate::is_known(tables, packet) {
            return Verdict::translate();
        }
        if gates & GATE_FLOWS != 0 && tables.flow(&FlowKey::of(packet)) {
            return Verdict::pass(Path::Kernel, Reason::Flow);
        }
        if gates & GATE_CONNECTIONS != 0 && packet.fragment {
            return Verdict::translate();
        }
    }
    match destination::find(tables, sender.table, packet) {
        Destination::Endpoint(endpoint) => delivery::from_ingress(&endpoint),
        Destination::Host => Verdict::pass(Path::Host, Reason::HostAddress),
        Destination::Service => Verdict::translate(),
        Destination::Route(route) => match Path::from_u8(route.path) {
            Some(Path::Router) => {
                let action = if route.has_next_hop() { Action::NextHop } else { Action::Forward };
                Verdict::new(Path::Router, Reason::Route, action).at(sender.parent, sender.mac)
            }
            Some(Path::Host) => Verdict::pass(Path::Host, Reason::Route),
            Some(Path::Kernel) => Verdict::pass(Path::Kernel, Reason::Route),
            Some(Path::Local) => Verdict::drop(Reason::NoEndpoint),
            Some(Path::Drop) | None => Verdict::drop(Reason::Blackhole),
        },
        Destination::Unknown => Verdict::new(Path::Router, Reason::NoRoute, Action::Forward)
            .at(sender.parent, sender.mac),
    }
}

/// All but plain IP packets of an endpoint. Its neighbour is known to it: what it asks or announces
/// is for nobody but the node, which keeps its own counsel.
#[inline(always)]
fn special(packet: &Packet) -> Verdict {
    match packet.kind {
        Kind::Malformed => Verdict::drop(Reason::Malformed),
        Kind::DeepHeaders => Verdict::drop(Reason::DeepHeaders),
        Kind::Tagged => Verdict::drop(Reason::TaggedEndpoint),
        Kind::RouterMessage => Verdict::drop(Reason::RouterForged),
        _ if packet.claimed_mac != packet.source_mac => Verdict::drop(Reason::NeighbourForged),
        _ => Verdict::pass(Path::Host, Reason::Neighbour),
    }
}

/// What has no address of an endpoint for its source.
#[inline(always)]
fn nobody(packet: &Packet) -> Verdict {
    let group = packet.destination_mac.is_group();
    match packet.kind {
        Kind::Malformed => Verdict::drop(Reason::Malformed),
        Kind::DeepHeaders => Verdict::drop(Reason::DeepHeaders),
        Kind::Tagged => Verdict::drop(Reason::TaggedEndpoint),
        Kind::Other => Verdict::drop(Reason::SourceMac),
        // DHCP, address probes and duplicate address detection: nobody is there to ask.
        _ if packet.source.is_unspecified() && group => Verdict::pass(Path::Host, Reason::NoSource),
        _ if packet.source.is_unspecified() || packet.source.is_multicast() => {
            Verdict::drop(Reason::SourceInvalid)
        }
        _ => Verdict::drop(Reason::SourceNotOwned),
    }
}

/// Decides on what the host stack sends by an endpoint's device, and names the endpoint's parent.
/// Answers to what it forwarded must come back through it.
#[inline(always)]
pub fn to_endpoint<T: Tables>(tables: &T, packet: &Packet, origin: Origin) -> (Verdict, u32) {
    let verdict = Verdict::pass(Path::Local, Reason::StackRouted);
    match tables.endpoint(&packet.destination) {
        Some(receiver) if receiver.device == origin.ifindex && packet.kind == Kind::Ip => {
            if T::TRANSLATES
                && tables.gates(receiver.slot) & GATE_CONNECTIONS != 0
                && (packet.fragment || translate::is_known(tables, packet))
            {
                return (Verdict::translate().to(receiver.slot), receiver.parent);
            }
            let record = origin.forwarded && !receiver.is_stacked();
            (verdict.to(receiver.slot).recorded(record), receiver.parent)
        }
        _ if packet.kind == Kind::Ip => (verdict.because(Reason::Multicast), 0),
        // Where both ends of a flow are behind this device the stack would have them meet without
        // it (ICMPv6 has no switch for that); they can not.
        _ if packet.kind == Kind::RouterMessage => (Verdict::drop(Reason::RouterForged), 0),
        _ => (verdict.because(Reason::Neighbour), 0),
    }
}
