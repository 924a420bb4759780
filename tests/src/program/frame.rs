//! Frames as bytes.

use std::net::IpAddr;

use bytes::{BufMut as _, BytesMut};
use netpath_common::Mac;

use super::checksum;

/// The Ethernet type of a family.
const fn ethertype(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 0x0800,
        IpAddr::V6(_) => 0x86dd,
    }
}

/// A frame.
#[must_use]
pub fn ethernet(destination: Mac, source: Mac, ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_slice(&destination.octets);
    frame.put_slice(&source.octets);
    frame.put_u16(ethertype);
    frame.put_slice(body);
    frame.to_vec()
}

/// The frame with a VLAN tag.
#[must_use]
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut tagged = BytesMut::new();
    tagged.put_slice(&frame[..12]);
    tagged.put_u16(0x8100);
    tagged.put_u16(vlan);
    tagged.put_slice(&frame[12..]);
    tagged.to_vec()
}

/// An IP packet in the making.
#[derive(Clone, Debug)]
pub struct Ip {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    segment: Vec<u8>,
    /// Words of IPv4 options, or IPv6 extension headers by number.
    options: usize,
    extensions: Vec<u8>,
    fragment: Option<(u16, bool)>,
    summed: bool,
}

impl Ip {
    /// A packet with any payload.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr, protocol: u8, segment: Vec<u8>) -> Self {
        Self {
            source,
            destination,
            protocol,
            segment,
            options: 0,
            extensions: Vec::new(),
            fragment: None,
            summed: false,
        }
    }

    /// A TCP segment without data.
    #[must_use]
    pub fn tcp(source: IpAddr, destination: IpAddr, from: u16, to: u16) -> Self {
        let mut segment = BytesMut::new();
        segment.put_u16(from);
        segment.put_u16(to);
        // Sequence, acknowledgement, five words, ACK, window, checksum, urgent.
        segment.put_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        Self::new(source, destination, 6, segment.to_vec())
    }

    /// A UDP datagram of 16 bytes.
    #[must_use]
    pub fn udp(source: IpAddr, destination: IpAddr, from: u16, to: u16) -> Self {
        let mut segment = BytesMut::new();
        segment.put_u16(from);
        segment.put_u16(to);
        segment.put_u16(24);
        segment.put_u16(0);
        segment.put_bytes(7, 16);
        Self::new(source, destination, 17, segment.to_vec())
    }

    /// An echo request, or reply, of the addresses' family.
    #[must_use]
    pub fn echo(source: IpAddr, destination: IpAddr, identifier: u16, reply: bool) -> Self {
        let (protocol, kind) = match (source, reply) {
            (IpAddr::V4(_), false) => (1, 8),
            (IpAddr::V4(_), true) => (1, 0),
            (IpAddr::V6(_), false) => (58, 128),
            (IpAddr::V6(_), true) => (58, 129),
        };
        let mut segment = BytesMut::new();
        segment.put_slice(&[kind, 0, 0, 0]);
        segment.put_u16(identifier);
        segment.put_u16(1);
        segment.put_bytes(9, 16);
        Self::new(source, destination, protocol, segment.to_vec())
    }

    /// An ICMP error of the addresses' family about a packet: this type, and the packet's first bytes.
    #[must_use]
    pub fn error(source: IpAddr, destination: IpAddr, kind: u8, about: &[u8]) -> Self {
        let mut segment = BytesMut::new();
        segment.put_slice(&[kind, 4, 0, 0, 0, 0, 5, 20]);
        segment.put_slice(about);
        Self::new(source, destination, if source.is_ipv4() { 1 } else { 58 }, segment.to_vec())
    }

    /// With this many words of IPv4 options (no-operations).
    #[must_use]
    pub const fn options(mut self, words: usize) -> Self {
        self.options = words;
        self
    }

    /// With these IPv6 extension headers, of eight bytes each.
    #[must_use]
    pub fn extensions(mut self, numbers: &[u8]) -> Self {
        self.extensions = numbers.to_vec();
        self
    }

    /// As a fragment: the offset in units of eight bytes, and whether more follow.
    #[must_use]
    pub const fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    /// With TCP's flags.
    #[must_use]
    pub fn saying(mut self, flags: u8) -> Self {
        self.segment[13] = flags;
        self
    }

    /// With all checksums as they should be; without it they are 0. Of whole packets only.
    #[must_use]
    pub const fn summed(mut self) -> Self {
        self.summed = true;
        self
    }

    /// The packet from its IP header on.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.v4(source.octets(), destination.octets())
            }
            (source, destination) => self.v6(sixteen(source), sixteen(destination)),
        };
        if self.summed {
            self.sum(&mut bytes);
        }
        bytes
    }

    /// Fills in the checksums of the header and of the segment.
    fn sum(&self, bytes: &mut [u8]) {
        let at = bytes.len() - self.segment.len();
        if self.source.is_ipv4() {
            let header = checksum::of(&bytes[..at]);
            bytes[10..12].copy_from_slice(&header.to_be_bytes());
        }
        let Some(field) = checksum::field(self.protocol) else { return };
        let mut covered = bytes[at..].to_vec();
        if self.protocol != 1 {
            let length = u32::try_from(self.segment.len()).expect("a short segment");
            covered.resize(covered.len().next_multiple_of(2), 0);
            // The mapped form of IPv4 addresses has ff:ff in front, which is 0 to the sum.
            covered.extend(sixteen(self.source));
            covered.extend(sixteen(self.destination));
            covered.extend(length.to_be_bytes());
            covered.extend(u32::from(self.protocol).to_be_bytes());
        }
        let sum = checksum::of(&covered);
        bytes[at + field..at + field + 2].copy_from_slice(&sum.to_be_bytes());
    }

    fn v4(&self, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let header = 20 + self.options * 4;
        let (offset, more) = self.fragment.unwrap_or_default();
        let mut bytes = BytesMut::new();
        bytes.put_u8(0x40 | narrow(header / 4));
        bytes.put_u8(0);
        bytes.put_u16(length(header + self.segment.len()));
        bytes.put_u16(0x1234);
        bytes.put_u16(offset | u16::from(more) << 13);
        bytes.put_u8(64);
        bytes.put_u8(self.protocol);
        bytes.put_u16(0);
        bytes.put_slice(&source);
        bytes.put_slice(&destination);
        bytes.put_bytes(1, self.options * 4);
        bytes.put_slice(&self.segment);
        bytes.to_vec()
    }

    fn v6(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let mut chain = self.extensions.clone();
        chain.extend(self.fragment.map(|_| 44));
        let mut body = BytesMut::new();
        for (index, number) in chain.iter().enumerate() {
            body.put_u8(chain.get(index + 1).copied().unwrap_or(self.protocol));
            body.put_u8(0);
            match (number, self.fragment) {
                (44, Some((offset, more))) => body.put_u16(offset << 3 | u16::from(more)),
                // Pads: PadN of four bytes.
                _ => body.put_u16(0x0104),
            }
            body.put_u32(0);
        }
        body.put_slice(&self.segment);
        let mut bytes = BytesMut::new();
        bytes.put_u32(0x6000_0000);
        bytes.put_u16(length(body.len()));
        bytes.put_u8(chain.first().copied().unwrap_or(self.protocol));
        bytes.put_u8(64);
        bytes.put_slice(&source);
        bytes.put_slice(&destination);
        bytes.put_slice(&body);
        bytes.to_vec()
    }

    /// The packet in a frame.
    #[must_use]
    pub fn frame(&self, destination: Mac, source: Mac) -> Vec<u8> {
        ethernet(destination, source, ethertype(self.source), &self.bytes())
    }
}

/// An ARP message's operation.
pub const ARP_REQUEST: u16 = 1;
/// An ARP message's operation.
pub const ARP_REPLY: u16 = 2;

/// ARP for IPv4 over Ethernet, in a frame.
#[must_use]
pub fn arp(
    (destination, source): (Mac, Mac),
    operation: u16,
    (sender_mac, sender): (Mac, IpAddr),
    (target_mac, target): (Mac, IpAddr),
) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_slice(&[0, 1, 8, 0, 6, 4]);
    body.put_u16(operation);
    for (mac, address) in [(sender_mac, sender), (target_mac, target)] {
        body.put_slice(&mac.octets);
        body.put_slice(&sixteen(address)[12..]);
    }
    ethernet(destination, source, 0x0806, &body)
}

/// A neighbour discovery message: its type, four bytes of flags, the target and the options.
#[must_use]
pub fn discovery(
    (source, destination): (IpAddr, IpAddr),
    kind: u8,
    target: IpAddr,
    option: Option<(u8, Mac)>,
) -> Ip {
    let mut segment = BytesMut::new();
    segment.put_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
    segment.put_slice(&sixteen(target));
    if let Some((number, mac)) = option {
        segment.put_slice(&[number, 1]);
        segment.put_slice(&mac.octets);
    }
    Ip::new(source, destination, 58, segment.to_vec())
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    netpath_common::Address::from(address).octets
}

fn narrow(value: usize) -> u8 {
    u8::try_from(value).expect("a header of at most 15 words")
}

fn length(value: usize) -> u16 {
    u16::try_from(value).expect("a packet of at most 65,535 bytes")
}
