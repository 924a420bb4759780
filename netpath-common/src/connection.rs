//! Connections: five-tuples whose packets are translated, for they are to a Service or come from one.
//!
//! Each has two entries, one a direction, under the tuple that its packets carry before they are
//! translated. What either becomes, turned around, is the key of the other.

use crate::{Address, BackendId, FlowKey};

/// Value of the `connections` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// What the source becomes.
    pub source: Address,
    /// What the destination becomes.
    pub destination: Address,
    /// What the source port becomes, in network order.
    pub source_port: u16,
    /// What the destination port becomes, in network order.
    pub destination_port: u16,
    /// [`FLAG_FORWARD`], [`FLAG_SYN`], [`FLAG_FIN`] and [`FLAG_RST`].
    pub flags: u32,
    /// Who answers.
    pub backend: BackendId,
    /// When a packet last came by in this direction, in nanoseconds of `CLOCK_MONOTONIC`, by whole
    /// seconds; 0 if none has yet.
    pub seen: u64,
}

const _: () = assert!(size_of::<Connection>() == 56);

/// From the client to the backend.
pub const FLAG_FORWARD: u32 = 1;
/// In this direction TCP's SYN was seen.
pub const FLAG_SYN: u32 = 2;
/// In this direction TCP's FIN was seen.
pub const FLAG_FIN: u32 = 4;
/// In this direction TCP's RST was seen.
pub const FLAG_RST: u32 = 8;

impl Connection {
    /// Whether it is the direction from the client to the backend.
    #[inline(always)]
    #[must_use]
    pub const fn is_forward(&self) -> bool {
        self.flags & FLAG_FORWARD != 0
    }

    /// Whether TCP has said good-bye in this direction.
    #[inline(always)]
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.flags & (FLAG_FIN | FLAG_RST) != 0
    }

    /// What the tuple becomes.
    #[inline(always)]
    #[must_use]
    pub const fn tuple(&self, protocol: u32) -> FlowKey {
        FlowKey {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol,
        }
    }

    /// The key of the other direction's entry.
    #[inline(always)]
    #[must_use]
    pub const fn reverse_key(&self, protocol: u32) -> FlowKey {
        FlowKey {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol,
        }
    }
}
