//! The source check: who sent a packet that leaves through a parent.

use super::{destination, egress::Origin};
use crate::{Endpoint, Packet, Path, Reason, Tables, route::TABLE_MAIN};

/// Who sent a packet.
#[derive(Clone, Copy)]
pub(super) enum Sender {
    /// An endpoint, from one of its own addresses.
    Endpoint(Endpoint),
    /// The node, or its host stack for someone else.
    Stack {
        /// The host stack forwarded the packet, and its source is no address of the node: answers
        /// must come back through the stack.
        foreign: bool,
        /// The host stack forwarded it for an endpoint.
        endpoint: bool,
    },
    /// Not told yet: a sender without an address.
    Nobody,
}

/// Finds the sender, or the reason to drop the packet.
///
/// A packet that the host stack forwards has an ingress interface; one that the node or a child
/// sends has none. Among the latter, an address of an endpoint must come from that endpoint, an
/// address of the node from the node; any other source is believed only where the way back leads
/// into the host stack.
#[inline(always)]
pub(super) fn check<T: Tables>(
    tables: &T,
    packet: &Packet,
    origin: Origin,
) -> Result<Sender, Reason> {
    match tables.endpoint(&packet.source) {
        Some(endpoint) if endpoint.is_host() => Ok(Sender::Stack {
            foreign: false,
            endpoint: false,
        }),
        Some(_) if origin.forwarded => Ok(Sender::Stack {
            foreign: true,
            endpoint: true,
        }),
        Some(endpoint) if endpoint.parent != origin.ifindex => Err(Reason::SourceParent),
        Some(endpoint) if !endpoint.mac.is(&packet.source_mac) => Err(Reason::SourceMac),
        Some(endpoint) => Ok(Sender::Endpoint(*endpoint)),
        None if origin.forwarded => Ok(Sender::Stack {
            foreign: true,
            endpoint: false,
        }),
        None => unknown(tables, packet),
    }
}

/// A source that is no address of this node, in a packet that the host stack did not forward.
#[inline(never)]
fn unknown<T: Tables>(tables: &T, packet: &Packet) -> Result<Sender, Reason> {
    if packet.source.is_unspecified() {
        // DHCP, ARP probes and duplicate address detection ask the link, never one host.
        return if packet.destination_mac.is_group() {
            Ok(Sender::Nobody)
        } else {
            Err(Reason::SourceInvalid)
        };
    }
    if packet.source.is_multicast() {
        return Err(Reason::SourceInvalid);
    }
    // The node may serve whole prefixes: addresses that are not on any of its interfaces.
    match destination::route(tables, TABLE_MAIN, &packet.source).map(|route| route.path) {
        Some(path) if path == Path::Host as u8 || path == Path::Kernel as u8 => Ok(Sender::Stack {
            foreign: false,
            endpoint: false,
        }),
        _ => Err(Reason::SourceNotOwned),
    }
}
