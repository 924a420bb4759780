//! What must not come in from the wire: the decision of XDP, and a part of TC ingress's.

use super::{destination, source};
use crate::{Kind, Packet, Reason, Tables};

/// The reason to drop a packet that came in on the parent `ifindex`, if there is one.
///
/// Nobody on the wire has an address of this node, but who has a NIC of its own. Frames that the ipvlan driver or a redirect of
/// ours hands to the parent do, and are told apart by equal Ethernet source and destination: a
/// switch never sends a frame back to where it learned its source. XDP in the NIC's driver sees the
/// wire only; for generic XDP such frames are left to TC ingress, which knows them by their mark.
#[inline(always)]
pub fn wire<T: Tables>(tables: &T, packet: &Packet, ifindex: u32) -> Option<Reason> {
    match packet.kind {
        Kind::Malformed => return Some(Reason::Malformed),
        Kind::Other | Kind::Tagged | Kind::DeepHeaders => return None,
        _ => {}
    }
    // A Service's address may be another node's as well.
    if let Some(endpoint) = tables.endpoint(&packet.source)
        && !endpoint.is_service()
    {
        let internal = (packet.source_mac == packet.destination_mac
            || source::is_by_macvlan(tables, packet, ifindex, &endpoint))
            && tables.parent(ifindex).is_some_and(|parent| !parent.xdp_is_native());
        return if internal || endpoint.is_exclusive() {
            None
        } else {
            Some(Reason::ClaimsLocalAddress)
        };
    }
    blackhole(tables, packet)
}

/// The reason to drop a packet for a prefix whose path is drop, if there is one.
#[inline(always)]
fn blackhole<T: Tables>(tables: &T, packet: &Packet) -> Option<Reason> {
    if destination::is_blackhole(tables, &packet.source) {
        return Some(Reason::BlackholeSource);
    }
    // An endpoint is more specific than any prefix but one of full length.
    let endpoint = tables.endpoint(&packet.destination);
    if endpoint.is_none_or(|endpoint| endpoint.is_routed())
        && destination::is_blackhole(tables, &packet.destination)
    {
        return Some(Reason::Blackhole);
    }
    None
}
