//! Counters: what happened to packets, by parent, hook, path and reason, and by endpoint.

/// Key of the `counters` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
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

/// Packets and bytes. A packet is what the hook saw: a GSO packet counts once, with all its bytes,
/// link layer header included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
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
}

impl Hook {
    /// All hooks.
    pub const ALL: [Self; 5] =
        [Self::Egress, Self::Ingress, Self::Xdp, Self::FromEndpoint, Self::ToEndpoint];

    /// The hook of a number in a map.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Egress),
            1 => Some(Self::Ingress),
            2 => Some(Self::Xdp),
            3 => Some(Self::FromEndpoint),
            4 => Some(Self::ToEndpoint),
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
        }
    }
}
