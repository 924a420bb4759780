//! Endpoints: the addresses that this node serves, and how to reach each.

use crate::{Address, Mac};

/// What the `endpoints` map knows of an address of this node.
///
/// The node's own addresses are in the map as well, with [`Attachment::Host`]: one lookup tells
/// `local`, `host` and elsewhere apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Endpoint {
    /// Interface index of the parent that the endpoint sits on; 0 for the node's own addresses.
    pub parent: u32,
    /// Identity of the endpoint, shared by all its addresses: its index in `endpoint_counters`.
    /// [`NO_SLOT`] for the node's own addresses.
    pub slot: u32,
    /// The route table that is consulted before the main one.
    pub table: u32,
    /// Number of the network namespace that sends from the address: the inode that `stat` shows of
    /// its file, and `ip netns identify` looks for. 0 if the agent does not know it.
    pub namespace: u32,
    /// Interface index of the node's side of its veth pair, by which it sends and is reached; 0 for
    /// children of the parent.
    pub device: u32,
    /// The Ethernet address it sends from, and is reached by: the parent's, for ipvlan.
    pub mac: Mac,
    /// How it is wired, as [`Attachment`].
    pub attachment: u8,
    /// [`FLAG_ROUTED`], [`FLAG_STACK`], [`FLAG_SERVICE`], [`FLAG_NODE_PORTS`] and [`FLAG_CLUSTER`].
    pub flags: u8,
}

const _: () = assert!(size_of::<Endpoint>() == 28 && align_of::<Endpoint>() == 4);

/// Entry of the `endpoints` map, which is a hash table with chains in an array, read by address.
///
/// The kernel's own hash map takes four times the instructions: its lookups are calls, and hash and
/// compare for keys of any size. Chains begin in `endpoint_heads`. Only the agent writes, and never
/// what a program may be reading: a new entry is written whole before a link leads to it, and one
/// without a link is used again only after a grace period of RCU has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EndpointEntry {
    /// The key.
    pub address: Address,
    /// What is known of it.
    pub endpoint: Endpoint,
    /// The next entry of the chain, by index; 0 for none: that entry is never used.
    pub next: u32,
}

const _: () = assert!(size_of::<EndpointEntry>() == 48);

impl EndpointEntry {
    /// Bits of [`Address::digest`], by which `endpoint_heads` has the first entry of each chain.
    pub const HEAD_BITS: u32 = 16;

    /// Chains.
    pub const HEADS: u32 = 1 << Self::HEAD_BITS;

    /// Entries that a chain has at most. With 100,000 addresses they have one or two.
    pub const REACH: u32 = 16;
}

/// No endpoint: nothing to count in `endpoint_counters`.
pub const NO_SLOT: u32 = u32::MAX;

/// Some route table has a full-length prefix for this address: ask the tables before the endpoint.
///
/// Only such a route is as specific as the endpoint itself. The agent keeps the flag, so that the
/// programs look up prefixes only where one can win.
pub const FLAG_ROUTED: u8 = 1;

/// The host stack carries what the endpoint's device sends and receives: policy-route without
/// acceleration, exclusive.
pub const FLAG_STACK: u8 = 2;

/// Some Service has the address: its ports are looked up in `services`.
pub const FLAG_SERVICE: u8 = 4;

/// The cluster knows a Service by the address: nobody answers at other ports. Other addresses of Services
/// may well be somebody's, such as another node's.
pub const FLAG_CLUSTER: u8 = 16;

/// One of the node's own addresses, while some Service has a node port: the port is looked up in
/// `services` under the [address that stands for all of the node's](crate::ServiceKey::any_of_node).
pub const FLAG_NODE_PORTS: u8 = 8;

/// The Ethernet address of the node's side of every veth pair. The endpoint has it as its only
/// neighbour, and no two are on one link. Locally administered.
pub const DEVICE_MAC: Mac = Mac::new([0x02, 0x6e, 0x70, 0, 0, 1]);

impl Endpoint {
    /// Whether this is one of the node's own addresses.
    #[inline(always)]
    #[must_use]
    pub const fn is_host(&self) -> bool {
        self.attachment == Attachment::Host as u8
    }

    /// Whether it has an Ethernet address of its own on its parent's network.
    #[inline(always)]
    #[must_use]
    pub const fn has_own_mac(&self) -> bool {
        self.attachment == Attachment::Macvlan as u8
    }

    /// Whether it is reached by a device of its own on the node.
    #[inline(always)]
    #[must_use]
    pub const fn has_device(&self) -> bool {
        self.device != 0
    }

    /// Whether it is on its parent's network and takes no part in neighbour discovery.
    #[inline(always)]
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.has_device() || self.is_sent_by_host()
    }

    /// Whether a NIC of its own has it on the wire, from where it may be heard.
    #[inline(always)]
    #[must_use]
    pub const fn is_exclusive(&self) -> bool {
        self.attachment == Attachment::Exclusive as u8
    }

    /// Whether the host's routes lead what it sends to one parent or another: ipvlan in an L3 mode.
    #[inline(always)]
    #[must_use]
    pub const fn is_sent_by_host(&self) -> bool {
        self.attachment == Attachment::IpvlanL3 as u8
            || self.attachment == Attachment::IpvlanL3s as u8
    }

    /// Whether the host stack carries its packets, see [`FLAG_STACK`].
    #[inline(always)]
    #[must_use]
    pub const fn is_stacked(&self) -> bool {
        self.flags & FLAG_STACK != 0
    }

    /// Whether it is nobody's but a Service's.
    #[inline(always)]
    #[must_use]
    pub const fn is_service(&self) -> bool {
        self.attachment == Attachment::Service as u8
    }

    /// Whether nobody answers at ports that no Service has.
    #[inline(always)]
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        self.flags & FLAG_CLUSTER != 0
    }

    /// Whether some port of the address may be a Service's.
    #[inline(always)]
    #[must_use]
    pub const fn has_services(&self) -> bool {
        self.flags & (FLAG_SERVICE | FLAG_NODE_PORTS) != 0
    }

    /// Whether it is one of the node's own while some Service has a node port, see [`FLAG_NODE_PORTS`].
    #[inline(always)]
    #[must_use]
    pub const fn has_node_ports(&self) -> bool {
        self.is_host() && self.flags & FLAG_NODE_PORTS != 0
    }

    /// Whether a full-length prefix may override the endpoint, see [`FLAG_ROUTED`].
    #[inline(always)]
    #[must_use]
    pub const fn is_routed(&self) -> bool {
        self.flags & FLAG_ROUTED != 0
    }
}

/// How an endpoint is wired to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Attachment {
    /// The node itself.
    Host = 0,
    /// An ipvlan child in L2 mode: it shares the parent's Ethernet address, and its parent finds it
    /// by its IP addresses.
    IpvlanL2 = 1,
    /// One end of a veth pair, whose other end is on the node: it is reached by routes.
    PolicyRoute = 3,
    /// A macvlan child: it has an Ethernet address of its own, by which its parent finds it.
    Macvlan = 2,
    /// An ipvlan child in L3 mode: the host stack routes what it sends.
    IpvlanL3 = 4,
    /// The same, and what it receives crosses the host's netfilter as well.
    IpvlanL3s = 5,
    /// A NIC of its own, on a wire of its own; one end of a veth pair beside it leads to the node.
    Exclusive = 6,
    /// Nobody: the address stands for the backends of a Service.
    Service = 7,
}

impl Attachment {
    /// The attachment of a number in the map, if it is one of this version.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Host),
            1 => Some(Self::IpvlanL2),
            2 => Some(Self::Macvlan),
            3 => Some(Self::PolicyRoute),
            4 => Some(Self::IpvlanL3),
            5 => Some(Self::IpvlanL3s),
            6 => Some(Self::Exclusive),
            7 => Some(Self::Service),
            _ => None,
        }
    }

    /// The name that tables and JSON show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::IpvlanL2 => "ipvlan-l2",
            Self::Macvlan => "macvlan",
            Self::PolicyRoute => "policy-route",
            Self::IpvlanL3 => "ipvlan-l3",
            Self::IpvlanL3s => "ipvlan-l3s",
            Self::Exclusive => "exclusive",
            Self::Service => "service",
        }
    }
}
