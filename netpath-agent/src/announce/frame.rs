//! The frames that ask for addresses and announce them: ARP (RFC 826, RFC 5227) and neighbour
//! discovery (RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut as _, Bytes, BytesMut};
use netpath_common::Mac;

/// `EtherType` of ARP.
pub(super) const ARP: u16 = 0x0806;
/// `EtherType` of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// What an ARP packet for IPv4 over Ethernet starts with: both types, both lengths.
pub(super) const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// ARP operations.
pub(super) const REQUEST: u16 = 1;
pub(super) const REPLY: u16 = 2;
/// Next header of ICMPv6.
pub(super) const ICMPV6: u8 = 58;
/// Types of ICMPv6.
pub(super) const SOLICITATION: u8 = 135;
pub(super) const ADVERTISEMENT: u8 = 136;
/// Receivers refuse neighbour discovery with less: it came through a router.
pub(super) const HOP_LIMIT: u8 = 255;
/// Options that tell a link-layer address.
const SOURCE_LINK: u8 = 1;
pub(super) const TARGET_LINK: u8 = 2;
/// Flag of an advertisement: replace the address that you have cached.
const OVERRIDE: u32 = 1 << 29;
/// Ethernet, IPv6, and a message with one option.
const LONGEST: usize = 14 + 40 + 32;
/// All nodes on the link.
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A frame to be sent.
#[derive(Debug)]
pub(super) struct Frame {
    /// Its `EtherType`.
    pub(super) protocol: u16,
    /// All of it, from the Ethernet header on.
    pub(super) bytes: Bytes,
}

/// The `EtherType` of frames that ask for an address.
pub(super) const fn protocol(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => ARP,
        IpAddr::V6(_) => IPV6,
    }
}

/// "Has anyone `address`?", from someone who has none yet.
pub(super) fn probe(mac: Mac, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => arp(mac, Ipv4Addr::UNSPECIFIED, address),
        IpAddr::V6(address) => discovery(&Message {
            mac,
            source: Ipv6Addr::UNSPECIFIED,
            group: solicited_node(address),
            kind: SOLICITATION,
            flags: 0,
            target: address,
            // Without a source there must be none (RFC 4861, 4.3).
            option: None,
        }),
    }
}

/// "`address` is at `mac`", to everyone.
pub(super) fn announcement(mac: Mac, address: IpAddr) -> Frame {
    match address {
        // The request form: RFC 5227, 3 tells why it is the safer one.
        IpAddr::V4(address) => arp(mac, address, address),
        IpAddr::V6(address) => discovery(&Message {
            mac,
            source: address,
            group: ALL_NODES,
            kind: ADVERTISEMENT,
            flags: OVERRIDE,
            target: address,
            option: Some(TARGET_LINK),
        }),
    }
}

/// "Where is `target`?", asked by `own`; `None` if they are of different families.
pub(super) fn question(mac: Mac, own: IpAddr, target: IpAddr) -> Option<Frame> {
    match (own, target) {
        (IpAddr::V4(own), IpAddr::V4(target)) => Some(arp(mac, own, target)),
        (IpAddr::V6(own), IpAddr::V6(target)) => Some(discovery(&Message {
            mac,
            source: own,
            group: solicited_node(target),
            kind: SOLICITATION,
            flags: 0,
            target,
            option: Some(SOURCE_LINK),
        })),
        _ => None,
    }
}

/// The group that everyone with such an address listens to (RFC 4291, 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | (address.to_bits() & 0xff_ffff))
}

/// The Ethernet address of a group (RFC 2464, 7).
pub(super) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac::new([0x33, 0x33, a, b, c, d])
}

/// A request.
fn arp(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
    let mut frame = ethernet(Mac::BROADCAST, mac, ARP);
    frame.put_slice(&ARP_KIND);
    frame.put_u16(REQUEST);
    frame.put_slice(&mac.octets);
    frame.put_slice(&sender.octets());
    frame.put_bytes(0, 6);
    frame.put_slice(&target.octets());
    Frame { protocol: ARP, bytes: frame.freeze() }
}

/// A message of neighbour discovery.
struct Message {
    /// Who sends it: in Ethernet, and in the option.
    mac: Mac,
    source: Ipv6Addr,
    group: Ipv6Addr,
    kind: u8,
    flags: u32,
    target: Ipv6Addr,
    /// The option that tells `mac`.
    option: Option<u8>,
}

fn discovery(message: &Message) -> Frame {
    let Message { mac, source, group, kind, flags, target, option } = *message;
    let mut message = BytesMut::with_capacity(32);
    message.put_slice(&[kind, 0, 0, 0]);
    message.put_u32(flags);
    message.put_slice(&target.octets());
    if let Some(option) = option {
        // Its length in units of eight bytes.
        message.put_slice(&[option, 1]);
        message.put_slice(&mac.octets);
    }
    let sum = checksum(source, group, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(group_mac(group), mac, IPV6);
    // Version 6, no traffic class, no flow label.
    frame.put_u32(6 << 28);
    frame.put_u16(length(&message));
    frame.put_slice(&[ICMPV6, HOP_LIMIT]);
    frame.put_slice(&source.octets());
    frame.put_slice(&group.octets());
    frame.put_slice(&message);
    Frame { protocol: IPV6, bytes: frame.freeze() }
}

fn ethernet(destination: Mac, source: Mac, ether_type: u16) -> BytesMut {
    let mut frame = BytesMut::with_capacity(LONGEST);
    frame.put_slice(&destination.octets);
    frame.put_slice(&source.octets);
    frame.put_u16(ether_type);
    frame
}

/// The checksum of an ICMPv6 message (RFC 4443, 2.3). Over one that has its own it is 0.
pub(super) fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let bytes = [&source.octets(), &destination.octets(), message].concat();
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum = u32::from(length(message)) + u32::from(ICMPV6) + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let folded = sum as u16;
    !folded
}

/// A message's length for the IPv6 header.
fn length(message: &[u8]) -> u16 {
    // A frame, and so a message, is far shorter.
    u16::try_from(message.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
