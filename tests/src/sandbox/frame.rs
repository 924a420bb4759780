//! Building raw frames that no honest stack sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, EtherType, Ethernet2Header, PacketBuilder, PacketBuilderStep,
    SingleVlanHeader, VlanId, VlanPcp,
};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Everyone on the segment.
pub const BROADCAST: Mac = [0xff; 6];

/// A frame, and the bytes by which it is known wherever it turns up, whatever happened to its
/// headers on the way.
#[derive(Clone, Debug)]
pub struct Frame {
    /// All of it, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Part of `bytes`.
    pub trace: Vec<u8>,
}

impl Frame {
    /// Whether `seen` is this frame or what became of it.
    #[must_use]
    pub fn is_in(&self, seen: &[u8]) -> bool {
        seen.windows(self.trace.len()).any(|window| window == self.trace)
    }

    /// The same frame behind an 802.1Q tag.
    #[must_use]
    pub fn tagged(&self, vlan: VlanId) -> Self {
        let (addresses, rest) = self.bytes.split_at(12);
        let (ether_type, body) = rest.split_at(2);
        let tag = SingleVlanHeader {
            pcp: VlanPcp::ZERO,
            drop_eligible_indicator: false,
            vlan_id: vlan,
            ether_type: EtherType(u16::from_be_bytes([ether_type[0], ether_type[1]])),
        };
        let bytes =
            [addresses, &EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes(), &tag.to_bytes(), body]
                .concat();
        Self { bytes, trace: self.trace.clone() }
    }
}

/// Who a frame says it is from and to, at both layers.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Ethernet source.
    pub source_mac: Mac,
    /// Ethernet destination.
    pub destination_mac: Mac,
    /// IP source.
    pub source: IpAddr,
    /// IP destination, of the same family.
    pub destination: IpAddr,
}

impl Ends {
    fn ip(&self, hops: u8) -> Result<PacketBuilderStep<etherparse::IpHeaders>> {
        let ethernet = PacketBuilder::ethernet2(self.source_mac, self.destination_mac);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Ok(ethernet.ipv4(source.octets(), destination.octets(), hops))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Ok(ethernet.ipv6(source.octets(), destination.octets(), hops))
            }
            (source, destination) => bail!("{source} and {destination}: two families"),
        }
    }
}

/// A datagram with `marker` as its data.
pub fn udp(ends: &Ends, marker: &str) -> Result<Frame> {
    let builder = ends.ip(64)?.udp(40_000, 7);
    let mut bytes = Vec::with_capacity(builder.size(marker.len()));
    builder.write(&mut bytes, marker.as_bytes())?;
    Ok(Frame { bytes, trace: marker.as_bytes().to_vec() })
}

/// An ARP packet as its sender wrote it.
#[must_use]
pub fn arp(source_mac: Mac, destination_mac: Mac, arp: &ArpEthIpv4Packet) -> Frame {
    let header = Ethernet2Header {
        source: source_mac,
        destination: destination_mac,
        ether_type: EtherType::ARP,
    };
    let body = arp.to_bytes().to_vec();
    Frame { bytes: [header.to_bytes().as_slice(), &body].concat(), trace: body }
}

/// What an ARP packet says: `sender` is at `sender_mac`.
#[must_use]
pub fn arp_says(
    operation: ArpOperation,
    sender_mac: Mac,
    sender: Ipv4Addr,
    target: Ipv4Addr,
) -> ArpEthIpv4Packet {
    ArpEthIpv4Packet {
        operation,
        sender_mac,
        sender_ipv4: sender.octets(),
        target_mac: [0; 6],
        target_ipv4: target.octets(),
    }
}

/// A message of neighbour discovery (RFC 4861): hop limit 255, `flags` the four bytes after the
/// checksum, `body` what follows them.
pub fn discovery(ends: &Ends, kind: u8, flags: [u8; 4], body: &[u8]) -> Result<Frame> {
    let builder = ends.ip(255)?.icmpv6_raw(kind, 0, flags);
    let mut bytes = Vec::with_capacity(builder.size(body.len()));
    builder.write(&mut bytes, body)?;
    // From the ICMPv6 header on: Ethernet is 14 bytes and IPv6 40.
    let trace = bytes[54..].to_vec();
    Ok(Frame { bytes, trace })
}

/// Target and a link-layer address option (RFC 4861, 4.6.1): 1 for the source's, 2 for the
/// target's.
#[must_use]
pub fn target(target: Ipv6Addr, option: u8, mac: Mac) -> Vec<u8> {
    [target.octets().as_slice(), &[option, 1], &mac].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [2, 0, 0, 0, 0, 2],
        source: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 12)),
        destination: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 10)),
    };

    #[test]
    fn a_frame_is_known_behind_a_tag() {
        let frame = udp(&ENDS, "marker").unwrap();
        let tagged = frame.tagged(VlanId::try_new(7).unwrap());
        assert_eq!(tagged.bytes.len(), frame.bytes.len() + 4);
        assert_eq!(tagged.bytes[12..18], [0x81, 0, 0, 7, 8, 0]);
        assert!(frame.is_in(&tagged.bytes));
        assert!(!frame.is_in(&udp(&ENDS, "other").unwrap().bytes));
    }

    #[test]
    fn families_do_not_mix() {
        let ends = Ends { source: "fd00::1".parse().unwrap(), ..ENDS };
        let error = udp(&ends, "x").unwrap_err();
        assert_eq!(error.to_string(), "fd00::1 and 10.9.0.10: two families");
    }
}
