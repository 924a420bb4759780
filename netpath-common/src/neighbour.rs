//! The bytes of ARP replies (RFC 826) and neighbour advertisements (RFC 4861, 4.4).

use crate::{Address, Mac, Packet};

/// An ARP reply for IPv4 over Ethernet, without the Ethernet header.
pub const ARP_LEN: usize = 28;

/// An IPv6 header and a neighbour advertisement with a target link-layer address option.
pub const ADVERTISEMENT_LEN: usize = 40 + 32;

/// Who asked whom.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The address that was asked for.
    pub target: Address,
    /// The address of the one who asked.
    pub asker: Address,
    /// The Ethernet address of the one who asked.
    pub asker_mac: Mac,
}

impl Question {
    /// What a packet asks. Who has no address yet, and asks whether the target is free, is told
    /// together with all others (RFC 4861, 7.2.4); ARP tells it alone.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet) -> Self {
        let target = packet.destination;
        if packet.source.is_unspecified() && !target.is_v4() {
            return Self { target, asker: ALL_NODES, asker_mac: ALL_NODES_MAC };
        }
        Self { target, asker: packet.source, asker_mac: packet.source_mac.into() }
    }
}

/// `ff02::1`, and the group address of Ethernet that goes with it (RFC 2464, 7).
const ALL_NODES: Address = Address::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const ALL_NODES_MAC: Mac = Mac::new([0x33, 0x33, 0, 0, 0, 1]);

/// "`target` is at `mac`", to the one who asked, in ARP. Both addresses are IPv4.
#[inline(always)]
#[must_use]
pub fn arp_reply(question: &Question, mac: Mac) -> [u8; ARP_LEN] {
    let Question { target, asker, asker_mac } = question;
    let mut bytes = [0; ARP_LEN];
    // Ethernet, IPv4, address lengths, operation 2: reply.
    bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
    bytes[8..14].copy_from_slice(&mac.octets);
    bytes[14..18].copy_from_slice(&target.octets[12..]);
    bytes[18..24].copy_from_slice(&asker_mac.octets);
    bytes[24..].copy_from_slice(&asker.octets[12..]);
    bytes
}

/// "`target` is at `mac`", to the one who asked, as a neighbour advertisement in its IPv6 packet, checksum included.
#[inline(always)]
#[must_use]
pub fn advertisement(question: &Question, mac: Mac) -> [u8; ADVERTISEMENT_LEN] {
    let Question { target, asker, .. } = question;
    let mut bytes = [0; ADVERTISEMENT_LEN];
    // Version 6, payload of 32 bytes, ICMPv6, hop limit 255 (the receiver demands it).
    bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 32, 58, 255]);
    bytes[8..24].copy_from_slice(&target.octets);
    bytes[24..40].copy_from_slice(&asker.octets);
    // Type 136; flags override and, to one alone, solicited.
    bytes[40] = 136;
    bytes[44] = if asker.is_multicast() { 0x20 } else { 0x60 };
    bytes[48..64].copy_from_slice(&target.octets);
    // Option 2: target link-layer address, one unit of eight bytes.
    bytes[64] = 2;
    bytes[65] = 1;
    bytes[66..].copy_from_slice(&mac.octets);
    let [high, low] = checksum(&bytes).to_be_bytes();
    bytes[42] = high;
    bytes[43] = low;
    bytes
}

/// The ICMPv6 checksum over the pseudo header and the message, whose checksum field is 0.
#[inline(always)]
fn checksum(bytes: &[u8; ADVERTISEMENT_LEN]) -> u16 {
    // The pseudo header's length and next header; its addresses are summed with the message.
    let mut sum: u32 = 32 + 58;
    let mut at = 8;
    while at < ADVERTISEMENT_LEN {
        sum += u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        at += 2;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let folded = sum as u16;
    !folded
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::IpAddr;

    fn question(target: &str, asker: &str) -> Question {
        let address = |text: &str| text.parse::<IpAddr>().expect("address").into();
        Question {
            target: address(target),
            asker: address(asker),
            asker_mac: Mac::new([2, 0, 0, 0, 0, 9]),
        }
    }

    #[test]
    fn arp_reply_names_both_sides() {
        let reply = arp_reply(&question("10.0.1.1", "10.0.1.9"), Mac::new([2, 0, 0, 0, 0, 1]));
        let expected =
            [0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 1, 1, 2, 0, 0, 0, 0, 9, 10, 0, 1, 9];
        assert_eq!(reply, expected);
    }

    #[test]
    fn advertisement_sums_to_all_ones() {
        let bytes = advertisement(&question("fd00::1", "fd00::9"), Mac::new([2, 0, 0, 0, 0, 1]));
        let mut sum: u32 = 32 + 58;
        for pair in bytes[8..].chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff);
        assert_eq!(bytes[40], 136);
        assert_eq!(&bytes[66..], &[2, 0, 0, 0, 0, 1]);
    }
}
