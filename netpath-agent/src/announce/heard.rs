//! What others say about an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netpath_common::Mac;

use super::frame::{
    ADVERTISEMENT, ARP, ARP_KIND, HOP_LIMIT, ICMPV6, IPV6, REPLY, REQUEST, SOLICITATION,
    TARGET_LINK, checksum,
};

/// What a frame says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// "It is at this Ethernet address."
    Claim(Mac),
    /// "Has anyone it?", from someone who is about to use it.
    Probe(Mac),
}

/// Reads an Ethernet frame without VLAN tag. `None` if it is malformed or about something else.
pub(super) fn read(frame: &[u8], address: IpAddr) -> Option<Heard> {
    let mut rest = frame;
    let _destination: [u8; 6] = take(&mut rest)?;
    let source = Mac::new(take(&mut rest)?);
    match (u16::from_be_bytes(take(&mut rest)?), address) {
        (ARP, IpAddr::V4(address)) => arp(rest, address),
        (IPV6, IpAddr::V6(address)) => discovery(rest, source, address),
        _ => None,
    }
}

fn arp(mut packet: &[u8], address: Ipv4Addr) -> Option<Heard> {
    let kind: [u8; 6] = take(&mut packet)?;
    let operation = u16::from_be_bytes(take(&mut packet)?);
    let sender_mac = Mac::new(take(&mut packet)?);
    let sender = Ipv4Addr::from_octets(take(&mut packet)?);
    let _target_mac: [u8; 6] = take(&mut packet)?;
    let target = Ipv4Addr::from_octets(take(&mut packet)?);
    if kind != ARP_KIND || !matches!(operation, REQUEST | REPLY) {
        None
    } else if sender == address {
        // Whatever the packet is for, its sender says where it is (RFC 5227, 2.1.1).
        Some(Heard::Claim(sender_mac))
    } else if operation == REQUEST && sender.is_unspecified() && target == address {
        Some(Heard::Probe(sender_mac))
    } else {
        None
    }
}

/// Neighbour discovery, checked as RFC 4861, 7.1 demands.
fn discovery(mut packet: &[u8], mac: Mac, address: Ipv6Addr) -> Option<Heard> {
    let [version, ..]: [u8; 4] = take(&mut packet)?;
    let length = u16::from_be_bytes(take(&mut packet)?);
    let [next, hops] = take(&mut packet)?;
    let source = Ipv6Addr::from_octets(take(&mut packet)?);
    let destination = Ipv6Addr::from_octets(take(&mut packet)?);
    // What follows is padding.
    let mut message = packet.get(..usize::from(length))?;
    let intact = checksum(source, destination, message) == 0;
    if (version >> 4, next, hops, intact) != (6, ICMPV6, HOP_LIMIT, true) {
        return None;
    }
    let [kind, code] = take(&mut message)?;
    let _checksum_and_flags: [u8; 6] = take(&mut message)?;
    let target = Ipv6Addr::from_octets(take(&mut message)?);
    let told = target_link(message)?;
    if code != 0 || target != address {
        return None;
    }
    match kind {
        ADVERTISEMENT => Some(Heard::Claim(told.unwrap_or(mac))),
        // With a source it is the everyday question for an address that is in use.
        SOLICITATION if source.is_unspecified() => Some(Heard::Probe(mac)),
        _ => None,
    }
}

/// The target's link-layer address, if an option tells it. `None` if the options are malformed.
#[expect(clippy::option_option, reason = "absent is not malformed")]
fn target_link(mut options: &[u8]) -> Option<Option<Mac>> {
    let mut told = None;
    while let Some([kind, units]) = options.first_chunk().copied() {
        // In units of eight bytes; 0 would never end.
        let option = options.split_off(..usize::from(units) * 8).filter(|_| units > 0)?;
        if let (TARGET_LINK, [_, _, mac @ ..]) = (kind, option) {
            told = mac.try_into().ok().map(Mac::new);
        }
    }
    options.is_empty().then_some(told)
}

/// The next bytes, if there are as many.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests;
