//! TC ingress of a parent: what came from the wire, or from the ipvlan driver.
//!
//! What a program of ours redirected here carries [`MARK_REDIRECTED`](crate::MARK_REDIRECTED), has
//! been decided on and counted, and does not come this far.

use super::{
    delivery,
    destination::{self, Destination},
    neighbour, source, translate,
};
use crate::{
    Endpoint, FlowKey, Kind, Packet, Path, Reason, Tables, Verdict,
    endpoint::NO_SLOT,
    flow::{GATE_CONNECTIONS, GATE_FLOWS},
    route::TABLE_MAIN,
};

/// Decides on a packet that came in on the parent `ifindex`. If its Ethernet addresses are the same,
/// `namespace` is the number of the network namespace whose socket sent it, 0 if unknown.
#[inline(always)]
pub fn ingress<T: Tables>(tables: &T, packet: &Packet, ifindex: u32, namespace: u32) -> Verdict {
    match packet.kind {
        Kind::Ip => {}
        Kind::Malformed => return Verdict::drop(Reason::Malformed),
        Kind::DeepHeaders => return Verdict::pass(Path::Host, Reason::DeepHeaders),
        Kind::Tagged => return Verdict::pass(Path::Host, Reason::Tagged),
        Kind::Other => return Verdict::pass(Path::Host, Reason::NotIp),
        _ => {
            return match admit(tables, packet, ifindex, namespace) {
                Err(reason) => Verdict::drop(reason),
                Ok(sender) => neighbour::from_wire(tables, packet, ifindex).from(sender),
            };
        }
    }
    let sender = match admit(tables, packet, ifindex, namespace) {
        Err(reason) => return Verdict::drop(reason),
        Ok(sender) => sender,
    };
    if packet.destination_mac.is_group() {
        return Verdict::pass(Path::Host, Reason::Multicast).from(sender);
    }
    let verdict = match destination::find(tables, TABLE_MAIN, packet) {
        Destination::Service => Verdict::translate(),
        Destination::Endpoint(endpoint) => to_endpoint(tables, packet, ifindex, &endpoint),
        Destination::Host
            if T::TRANSLATES
                && tables.node_gates() != 0
                && (packet.fragment || translate::is_known(tables, packet)) =>
        {
            Verdict::translate()
        }
        Destination::Host if sender == NO_SLOT => Verdict::pass(Path::Host, Reason::HostAddress),
        Destination::Host => Verdict::pass(Path::Host, Reason::SwitchedInDriver),
        Destination::Route(route) => match Path::from_u8(route.path) {
            Some(Path::Host) => Verdict::pass(Path::Host, Reason::Route),
            Some(Path::Kernel) => Verdict::pass(Path::Kernel, Reason::Route),
            Some(Path::Router) => Verdict::pass(Path::Kernel, Reason::Transit),
            Some(Path::Local) => Verdict::drop(Reason::NoEndpoint),
            Some(Path::Drop) | None => Verdict::drop(Reason::Blackhole),
        },
        Destination::Unknown => Verdict::pass(Path::Kernel, Reason::Transit),
    };
    verdict.from(sender)
}

/// To an endpoint of this node; answers that must pass the host stack, or be translated, do so first.
#[inline(always)]
fn to_endpoint<T: Tables>(
    tables: &T,
    packet: &Packet,
    ifindex: u32,
    endpoint: &Endpoint,
) -> Verdict {
    let gates = tables.gates(endpoint.slot);
    if gates != 0 {
        if gates & GATE_CONNECTIONS != 0 && translate::is_known(tables, packet) {
            return Verdict::translate();
        }
        if gates & GATE_FLOWS != 0 && tables.flow(&FlowKey::of(packet)) {
            // No rx_handler takes what is for a device: the stack may have it here.
            return if endpoint.has_device() {
                Verdict::pass(Path::Kernel, Reason::Flow)
            } else {
                destination::enter(tables, Reason::Flow)
            };
        }
        if gates & GATE_CONNECTIONS != 0 && packet.fragment {
            return Verdict::translate();
        }
    }
    delivery::from_wire(endpoint, packet, ifindex)
}

/// Lets in what may come from the wire, and what the ipvlan driver switched to the node: the slot
/// of the endpoint that sent it, [`NO_SLOT`] for the wire.
#[inline(always)]
fn admit<T: Tables>(
    tables: &T,
    packet: &Packet,
    ifindex: u32,
    namespace: u32,
) -> Result<u32, Reason> {
    if packet.source_mac == packet.destination_mac {
        return admit_from_driver(tables, packet, ifindex, namespace);
    }
    // A Service's address may be another node's as well.
    if let Some(endpoint) = tables.endpoint(&packet.source)
        && !(T::TRANSLATES && endpoint.is_service())
    {
        return if source::is_by_macvlan(tables, packet, ifindex, &endpoint) {
            Ok(endpoint.slot)
        } else if endpoint.is_exclusive() {
            Ok(NO_SLOT)
        } else {
            Err(Reason::ClaimsLocalAddress)
        };
    }
    if destination::is_blackhole(tables, &packet.source) {
        return Err(Reason::BlackholeSource);
    }
    Ok(NO_SLOT)
}

/// The driver takes a child's frame for its own Ethernet address to the parent's receive side
/// where no sibling owns the destination: the source check of TC egress has not seen it.
#[inline(always)]
fn admit_from_driver<T: Tables>(
    tables: &T,
    packet: &Packet,
    ifindex: u32,
    namespace: u32,
) -> Result<u32, Reason> {
    let Some(parent) = tables.parent(ifindex) else {
        return Err(Reason::SourceMac);
    };
    if !parent.switches_in_driver() {
        return Err(Reason::ClaimsLocalAddress);
    }
    if parent.mac.word() != packet.source_mac {
        return Err(Reason::SourceMac);
    }
    match tables.endpoint(&packet.source) {
        Some(endpoint) if endpoint.is_host() => Err(Reason::SourceNotOwned),
        Some(endpoint) if endpoint.parent != ifindex => Err(Reason::SourceParent),
        Some(endpoint) if source::is_foreign(tables, namespace, endpoint.namespace) => {
            Err(Reason::SourceNamespace)
        }
        Some(endpoint) => Ok(endpoint.slot),
        None => Err(Reason::SourceNotOwned),
    }
}
