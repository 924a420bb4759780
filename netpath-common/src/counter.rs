//! Counters: what happened to packets, by parent, hook, path and reason, and by endpoint.

/// What is counted apart in the `counters` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct CounterKey {
    /// Interface index of the parent.
    pub parent: u32,
    /// Where on the parent, as [`Hook`].
    pub hook: u8,
    /// The path taken, as [`Path`](crate::Path).
    pub path: u8,
    /// Why, as [`Reason`](crate::Reason).
    pub reason: u16,
}

const _: () = assert!(size_of::<CounterKey>() == 8);

impl CounterKey {
    /// The key in one word, never 0: no packet is dropped for [`Reason::Endpoint`](crate::Reason).
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        // SAFETY: both are eight bytes without padding, and any bits are a number.
        unsafe { core::mem::transmute(self) }
    }
}

/// Value of the `counters` map, a hash table that every CPU keeps for itself: its key, and packets
/// and bytes. A packet is what the hook saw: a GSO packet counts once, with all its bytes, link layer
/// header included. All zero while it is free.
///
/// The key is in the value, flat, so that it can be read without knowing how it is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Counter {
    /// See [`CounterKey`].
    pub parent: u32,
    /// See [`CounterKey`].
    pub hook: u8,
    /// See [`CounterKey`].
    pub path: u8,
    /// See [`CounterKey`].
    pub reason: u16,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Counter>() == 24);

impl Counter {
    /// Bits of a line's number.
    pub const LINES_BITS: u32 = 12;

    /// Lines: a parent has about 100 kinds of packets, of which most see 20.
    pub const LINES: u32 = 1 << Self::LINES_BITS;

    /// Lines from the first that a key may be in.
    pub const REACH: u32 = 16;

    /// Where the search for a key begins that is this word.
    #[inline(always)]
    #[must_use]
    pub const fn line(key: u64) -> u32 {
        // By the golden ratio (Knuth), of which the upper bits depend on all of the key.
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::LINES_BITS)) as u32
    }

    /// What it counts.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self) -> CounterKey {
        let Self { parent, hook, path, reason, .. } = *self;
        CounterKey { parent, hook, path, reason }
    }
}

/// Packets and bytes of a [`CounterKey`], over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Value of the `endpoint_counters` map: both directions, seen from the endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EndpointCount {
    /// Packets that the endpoint received.
    pub rx_packets: u64,
    /// Bytes that the endpoint received.
    pub rx_bytes: u64,
    /// Packets that the endpoint sent.
    pub tx_packets: u64,
    /// Bytes that the endpoint sent.
    pub tx_bytes: u64,
}

const _: () = assert!(size_of::<EndpointCount>() == 32);

/// A hook on a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// TC egress: what children, the node and the host stack send.
    Egress = 0,
    /// TC ingress: what came from the wire, or from the ipvlan driver.
    Ingress = 1,
    /// XDP: the wire, before an skb exists.
    Xdp = 2,
    /// TC ingress of the node's side of an endpoint's veth pair: what the endpoint sends.
    FromEndpoint = 3,
    /// TC egress of it: what the endpoint receives from the host stack.
    ToEndpoint = 4,
    /// TC ingress of the loopback device: what endpoints in an L3 mode send to the node's addresses.
    Loopback = 5,
}

impl Hook {
    /// All hooks.
    pub const ALL: [Self; 6] = [
        Self::Egress,
        Self::Ingress,
        Self::Xdp,
        Self::FromEndpoint,
        Self::ToEndpoint,
        Self::Loopback,
    ];

    /// The hook of a number in a map.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Egress),
            1 => Some(Self::Ingress),
            2 => Some(Self::Xdp),
            3 => Some(Self::FromEndpoint),
            4 => Some(Self::ToEndpoint),
            5 => Some(Self::Loopback),
            _ => None,
        }
    }

    /// The name that tables and JSON show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Xdp => "xdp",
            Self::FromEndpoint => "from-endpoint",
            Self::ToEndpoint => "to-endpoint",
            Self::Loopback => "loopback",
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{Path, Reason};
    use std::collections::HashMap;

    #[test]
    fn what_one_parent_counts_is_spread_over_the_lines() {
        let mut lines = HashMap::<u32, u32>::new();
        for hook in [Hook::Egress, Hook::Ingress] {
            for path in Path::ALL {
                for reason in &Reason::ALL[..12] {
                    let (hook, path, reason) = (hook as u8, path as u8, *reason as u16);
                    let key = CounterKey { parent: 2, hook, path, reason };
                    let line = Counter::line(key.word());
                    assert!(line < Counter::LINES);
                    *lines.entry(line).or_default() += 1;
                }
            }
        }
        // Of 120 keys at random, two or so would share a line.
        assert!(lines.len() > 110, "{lines:?}");
    }
}
