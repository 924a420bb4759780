//! Flows: five-tuples whose way back leads through the host stack.

use crate::{Address, Packet};

/// A five-tuple as its packets carry it; without ports that of all fragments between two addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The sender.
    pub source: Address,
    /// The receiver.
    pub destination: Address,
    /// The sender's port in network order; an echo's identifier.
    pub source_port: u16,
    /// The receiver's port in network order; an echo's identifier.
    pub destination_port: u16,
    /// IP protocol number; 32 bits, to leave no padding.
    pub protocol: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The tuple of a packet. An ICMP error has that of the flow which it is about, in its own
    /// direction: a router speaks for the receiver whom the packet did not reach.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet) -> Self {
        let key = Self {
            source: packet.speaks_for,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            protocol: packet.protocol as u32,
        };
        if packet.fragment { key.of_fragments() } else { key }
    }

    /// The tuple of the packets that answer `packet`.
    #[inline(always)]
    #[must_use]
    pub const fn answering(packet: &Packet) -> Self {
        Self {
            source: packet.destination,
            destination: packet.speaks_for,
            source_port: packet.destination_port,
            destination_port: packet.source_port,
            protocol: packet.protocol as u32,
        }
    }

    /// The tuple of fragments. All fragments of a packet must go one way, and only the first has ports:
    /// so those of all flows between two addresses go the way of one that is recorded.
    #[inline(always)]
    #[must_use]
    pub const fn of_fragments(self) -> Self {
        Self { source_port: 0, destination_port: 0, ..self }
    }

    /// A number to share flows out by. Short, since the verifier follows it for every way that leads
    /// to it; the last steps are those that `MurmurHash3` ends with, and spread neighbouring addresses
    /// and ports.
    #[inline(always)]
    #[must_use]
    pub const fn digest(&self) -> u32 {
        let [a, b, c, d] = self.source.to_words();
        let [e, f, g, h] = self.destination.to_words();
        let ports = (self.source_port as u32) << 16 | self.destination_port as u32;
        let hash = (a ^ b ^ c ^ d).wrapping_mul(0xcc9e_2d51)
            ^ (e ^ f ^ g ^ h ^ self.protocol).wrapping_mul(0x1b87_3593)
            ^ ports;
        let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

/// In `endpoint_flows`: some flow of the endpoint took the kernel path.
pub const GATE_FLOWS: u32 = 1;

/// In `endpoint_flows`: some connection of the endpoint was translated.
pub const GATE_CONNECTIONS: u32 = 2;

/// What is known of a flow whose packets take the kernel path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// When the host stack last forwarded the direction that the flow answers, in nanoseconds of
    /// `CLOCK_MONOTONIC`.
    pub seen: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source_port: u16) -> Packet {
        let source = Address::v4([10, 0, 1, 11]);
        let destination = Address::v4([192, 0, 2, 9]);
        Packet {
            source,
            speaks_for: source,
            destination,
            source_port,
            protocol: 6,
            ..Packet::default()
        }
    }

    #[test]
    fn flows_are_spread_evenly() {
        let mut counts = [0_u32; 8];
        for port in 0..8000_u16 {
            counts[(FlowKey::of(&packet(port)).digest() >> 29) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn fragments_go_together() {
        let digest = |fragment, port| FlowKey::of(&Packet { fragment, ..packet(port) }).digest();
        assert_eq!(digest(true, 80), digest(true, 0));
        assert_ne!(digest(false, 80), digest(false, 81));
    }
}
