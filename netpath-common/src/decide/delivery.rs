//! How a packet gets to an endpoint of this node.

use super::destination;
use crate::{Action, Endpoint, Packet, Path, Reason, Tables, Verdict};

/// From TC egress of a parent: a child's parent receives it and the rx_handler picks the child; a
/// device of the endpoint's own sends it.
#[inline(always)]
pub(super) fn from_egress<T: Tables>(tables: &T, endpoint: &Endpoint) -> Verdict {
    if endpoint.has_device() {
        if endpoint.is_stacked() {
            return destination::enter(tables, Reason::NotAccelerated).to(endpoint.slot);
        }
        return by_device(endpoint, Action::Send);
    }
    by_parent(endpoint)
}

/// From TC ingress of any device, where the way into the other namespace is the shorter one.
#[inline(always)]
pub(super) fn from_ingress(endpoint: &Endpoint) -> Verdict {
    if endpoint.has_device() {
        // The stack counts it with the endpoint when it comes by.
        if endpoint.is_stacked() {
            return Verdict::pass(Path::Kernel, Reason::NotAccelerated);
        }
        return by_device(endpoint, Action::Peer);
    }
    by_parent(endpoint)
}

/// From TC ingress of the parent `ifindex`, whose rx_handler finds its own children by itself.
#[inline(always)]
pub(super) fn from_wire(endpoint: &Endpoint, packet: &Packet, ifindex: u32) -> Verdict {
    let verdict = from_ingress(endpoint);
    if endpoint.parent == ifindex
        && !endpoint.has_device()
        && (!endpoint.has_own_mac() || endpoint.mac.word() == packet.destination_mac)
    {
        return verdict.acting(Action::Pass);
    }
    verdict
}

/// Past the host stack that carries its packets otherwise: what comes from one of the node's own
/// addresses, the stack would not forward.
#[inline(always)]
pub(super) fn past_stack(endpoint: &Endpoint, action: Action) -> Verdict {
    by_device(endpoint, action)
}

/// By its parent, whose child it is.
#[inline(always)]
fn by_parent(endpoint: &Endpoint) -> Verdict {
    Verdict::new(Path::Local, Reason::Endpoint, Action::Receive)
        .at(endpoint.parent, endpoint.mac)
        .to(endpoint.slot)
}

#[inline(always)]
fn by_device(endpoint: &Endpoint, action: Action) -> Verdict {
    Verdict::new(Path::Local, Reason::Endpoint, action)
        .at(endpoint.device, endpoint.mac)
        .to(endpoint.slot)
}
