//! The source check: who sent a packet that leaves through a parent.

use super::{destination, egress::Origin};
use crate::{Endpoint, Packet, Path, Reason, Tables, route::TABLE_MAIN};

/// Who sent a packet.
pub(super) enum Sender<'a, T: Tables + 'a> {
    /// An endpoint, from one of its own addresses.
    Endpoint(T::Ref<'a, Endpoint>),
    /// The node.
    Host,
    /// Someone that the host stack forwards for.
    Forwarded,
    /// An endpoint, by way of the host stack.
    ForwardedEndpoint(T::Ref<'a, Endpoint>),
    /// Someone who has no address yet.
    Nobody,
    /// Someone who may not send this.
    Refused(Reason),
}

/// Finds the sender.
///
/// A packet that the host stack forwards has an ingress interface; one that the node or a child
/// sends has none. Among the latter, an address of an endpoint must come from that endpoint (one with
/// a device of its own sends nothing here by itself), an address of the node from the node; any
/// other source is believed only where the way back leads into the host stack.
///
/// Children share the parent's Ethernet address, so the address alone does not tell siblings and
/// the node apart. The socket does: a packet keeps it on the way from a child to its parent.
#[inline(always)]
pub(super) fn check<'a, T: Tables>(
    tables: &'a T,
    packet: &Packet,
    origin: Origin,
    again: impl Fn() -> bool,
) -> Sender<'a, T> {
    let Some(endpoint) = tables.endpoint(&packet.source) else {
        return if origin.forwarded {
            Sender::Forwarded
        } else {
            match unknown(tables, packet) {
                Unknown::Nobody => Sender::Nobody,
                Unknown::Stack if is_foreign(tables, origin.namespace, 0) => {
                    Sender::Refused(Reason::SourceNamespace)
                }
                Unknown::Stack => Sender::Host,
                Unknown::Invalid => Sender::Refused(Reason::SourceInvalid),
                Unknown::Elsewhere => Sender::Refused(Reason::SourceNotOwned),
            }
        };
    };
    if is_foreign(tables, origin.namespace, endpoint.namespace) {
        Sender::Refused(Reason::SourceNamespace)
    } else if endpoint.is_host() {
        Sender::Host
    } else if origin.forwarded {
        Sender::ForwardedEndpoint(endpoint)
    } else if endpoint.parent != origin.ifindex || endpoint.has_device() {
        // To an endpoint of another parent the host's routes lead by that one (IPv6 heeds no device).
        if endpoint.is_sent_by_host() {
            Sender::ForwardedEndpoint(endpoint)
        } else {
            Sender::Refused(Reason::SourceParent)
        }
    } else if endpoint.mac.word() != packet.source_mac && !again() {
        Sender::Refused(Reason::SourceMac)
    } else {
        Sender::Endpoint(endpoint)
    }
}

/// Whether a tagged frame may be a child's of another parent, which is a VLAN on `ifindex` and has
/// decided on it and counted it. The programs do not know which parents are; that nobody but the
/// child's own sockets may say so has been checked.
#[inline(always)]
pub(super) fn is_by_vlan<T: Tables>(tables: &T, packet: &Packet, ifindex: u32) -> bool {
    tables.endpoint(&packet.source).is_some_and(|sender| {
        sender.parent != ifindex && !sender.has_device() && sender.mac.word() == packet.source_mac
    })
}

/// Whether the macvlan driver may have switched the packet between two children of `ifindex`: it has
/// the parent receive what they send each other. Nothing else tells such a frame from one of the
/// wire's than its addresses.
#[inline(always)]
pub(super) fn is_by_macvlan<T: Tables>(
    tables: &T,
    packet: &Packet,
    ifindex: u32,
    sender: &Endpoint,
) -> bool {
    sender.has_own_mac()
        && sender.parent == ifindex
        && sender.mac.word() == packet.source_mac
        && tables.parent(ifindex).is_some_and(|parent| parent.switches_in_driver())
}

/// Whether a pod's socket sent what only sockets of the namespace `owner` may send.
///
/// Other namespaces are believed: the kernel's own sockets, which send resets and echo replies for
/// everybody, are at home in the first one, which need not be the node's (`sock_net_set` in
/// `ip_send_unicast_reply` and `icmp_xmit_lock`).
#[inline(always)]
pub(super) fn is_foreign<T: Tables>(tables: &T, sender: u32, owner: u32) -> bool {
    sender != owner && sender != 0 && tables.is_pod(sender)
}

/// What a source that is no address of this node can be.
enum Unknown {
    /// The unspecified address, asking the link.
    Nobody,
    /// An address of a prefix that the host stack serves.
    Stack,
    /// No source at all.
    Invalid,
    /// An address that belongs elsewhere.
    Elsewhere,
}

/// A source that is no address of this node, in a packet that the host stack did not forward.
#[inline(never)]
fn unknown<T: Tables>(tables: &T, packet: &Packet) -> Unknown {
    if packet.source.is_unspecified() {
        // DHCP, ARP probes and duplicate address detection ask the link, never one host.
        return if packet.destination_mac.is_group() { Unknown::Nobody } else { Unknown::Invalid };
    }
    if packet.source.is_multicast() {
        return Unknown::Invalid;
    }
    // The node may serve whole prefixes: addresses that are not on any of its interfaces.
    match destination::route(tables, TABLE_MAIN, &packet.source).map(|route| route.path) {
        Some(path) if path == Path::Host as u8 || path == Path::Kernel as u8 => Unknown::Stack,
        _ => Unknown::Elsewhere,
    }
}
