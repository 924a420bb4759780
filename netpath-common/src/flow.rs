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
}

/// What is known of a flow whose packets take the kernel path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// When the host stack last forwarded the direction that the flow answers, in nanoseconds of
    /// `CLOCK_MONOTONIC`.
    pub seen: u64,
}
