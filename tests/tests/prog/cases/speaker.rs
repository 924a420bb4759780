//! Who asks for an address, answers or announces.

use std::net::IpAddr;

use netpath_common::Mac;
use netpath_tests::program::frame::{self, ARP_REPLY, ARP_REQUEST};

use super::egress::GROUP;

const ZERO: Mac = Mac::new([0; 6]);

/// Who asks, answers or announces, in the family's own protocol.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) v4: bool,
    /// The Ethernet address of its interface.
    pub(crate) mac: Mac,
}

impl Speaker {
    /// `asker` asks for `target`, with `claimed` as its Ethernet address.
    pub(crate) fn question(&self, asker: IpAddr, target: IpAddr, claimed: Mac) -> Vec<u8> {
        if self.v4 {
            let ends = (Mac::BROADCAST, self.mac);
            return frame::arp(ends, ARP_REQUEST, (claimed, asker), (ZERO, target));
        }
        frame::discovery((asker, solicited(target)), 135, target, Some((1, claimed)))
            .frame(GROUP, self.mac)
    }

    /// `owner` tells `asker` that `target` is at `claimed`.
    pub(crate) fn statement(
        &self,
        (destination, source): (Mac, Mac),
        owner: IpAddr,
        asker: IpAddr,
        claimed: Mac,
    ) -> Vec<u8> {
        if self.v4 {
            let asker_mac = destination;
            return frame::arp(
                (destination, source),
                ARP_REPLY,
                (claimed, owner),
                (asker_mac, asker),
            );
        }
        frame::discovery((owner, asker), 136, owner, Some((2, claimed))).frame(destination, source)
    }

    /// The parent's answer on the wire to its question for `target`.
    pub(crate) fn reply(&self, asker: IpAddr, target: IpAddr, parent: Mac) -> Vec<u8> {
        let mut frame = self.answer(asker, target, parent);
        frame[6..12].copy_from_slice(&parent.octets);
        frame
    }

    /// netpath's answer to its question for `target`, which is `at` there. The frame is from itself,
    /// as everything that is redirected to a parent.
    pub(crate) fn answer(&self, asker: IpAddr, target: IpAddr, at: Mac) -> Vec<u8> {
        let ends = (self.mac, self.mac);
        if self.v4 {
            return frame::arp(ends, ARP_REPLY, (at, target), (self.mac, asker));
        }
        let mut frame =
            frame::discovery((target, asker), 136, target, Some((2, at))).frame(self.mac, self.mac);
        // Hop limit 255; solicited, override; the checksum over pseudo header and message.
        frame[14 + 7] = 255;
        frame[14 + 40 + 4] = 0x60;
        let sum = checksum(&frame[14..]);
        frame[14 + 42..14 + 44].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}

/// The solicited-node group of an address.
pub(crate) fn solicited(target: IpAddr) -> IpAddr {
    let octets = netpath_common::Address::from(target).octets;
    let [.., a, b, c] = octets;
    let group: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    IpAddr::from(group)
}

/// The ICMPv6 checksum of a packet without extension headers, whose checksum field is 0.
fn checksum(packet: &[u8]) -> u16 {
    let length = u32::try_from(packet.len() - 40).expect("short");
    let words = packet[8..]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.sum::<u32>() + length + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
