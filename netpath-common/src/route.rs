//! Route tables: destination prefixes to paths.

use crate::{Address, Path};

/// The table that is consulted when an endpoint's own has no match: the number of the kernel's
/// main table, so that both tell the same story.
pub const TABLE_MAIN: u32 = 254;

/// Key of the `routes` trie. The prefix length counts the table's 32 bits as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct RouteKey {
    /// 32 for the table, plus the bits of the address: 128 and 32 more for a single address.
    pub prefix_len: u32,
    /// The route table, always matched whole.
    pub table: u32,
    /// The prefix; bits behind its length are 0.
    pub address: Address,
}

const _: () = assert!(size_of::<RouteKey>() == 24);

/// What the trie's key looks like to aya: the data behind `prefix_len`.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub struct RouteData {
    /// The route table, in native order.
    pub table: u32,
    /// The prefix, in network order.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<RouteData>() == 20);

impl RouteKey {
    /// Bits of a key that matches one address only.
    pub const FULL: u32 = 32 + 128;

    /// Bits in front of an IPv4 address: a key of fewer is IPv6's.
    const MAPPED: u32 = 32 + 96;

    /// The key that looks up the longest prefix of `address` in `table`.
    #[inline(always)]
    #[must_use]
    pub const fn lookup(table: u32, address: Address) -> Self {
        Self { prefix_len: Self::FULL, table, address }
    }

    /// The key of a prefix: `length` counts bits of the address in its own family.
    #[must_use]
    pub const fn prefix(table: u32, address: Address, length: u8) -> Self {
        let mapped = if address.is_v4() { 96 } else { 0 };
        Self { prefix_len: 32 + mapped + length as u32, table, address }
    }

    /// Bits of the prefix in the address's own family.
    #[must_use]
    pub const fn length(&self) -> u8 {
        let mapped = if self.address.is_v4() { 96 } else { 0 };
        #[expect(clippy::cast_possible_truncation, reason = "at most 128")]
        let length = self.prefix_len.saturating_sub(32 + mapped) as u8;
        length
    }
}

/// What a prefix leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Route {
    /// For [`Path::Router`]: next hops on the endpoint's parent, among which flows are shared out;
    /// none leaves the neighbour that the sender chose. In the value itself, so that a change of
    /// them all is one step.
    /// The words of an [`Address`] in the order of memory; the trie aligns to four bytes only.
    pub next_hops: [[u32; 4]; MAX_HOPS],
    /// The path, as [`Path`].
    pub path: u8,
    /// The key's `prefix_len`: a lookup returns the value only, and a full-length prefix is as
    /// specific as an endpoint.
    pub prefix_len: u8,
    /// How many next hops there are.
    pub hops: u8,
    /// Keeps the layout free of padding.
    pub reserved: u8,
}

/// Next hops of one route.
pub const MAX_HOPS: usize = 8;

// The trie wants a value alignment that divides the key's data size of 20.
const _: () = assert!(size_of::<Route>() == 132 && 20 % align_of::<Route>() == 0);

/// Whether a key of this `prefix_len` is of the family of an address that it holds.
#[inline(always)]
#[must_use]
pub const fn is_for(prefix_len: u32, address: &Address) -> bool {
    prefix_len >= RouteKey::MAPPED || !address.is_v4()
}

impl Route {
    /// The route of `key` to a path, without a next hop.
    #[must_use]
    pub const fn new(key: &RouteKey, path: Path) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 160")]
        let prefix_len = key.prefix_len as u8;
        let next_hops = [[0; 4]; MAX_HOPS];
        Self { next_hops, path: path as u8, prefix_len, hops: 0, reserved: 0 }
    }

    /// The same route by one more router; by no more than [`MAX_HOPS`].
    #[must_use]
    pub fn via(mut self, next_hop: Address) -> Self {
        if let Some(free) = self.next_hops.get_mut(usize::from(self.hops)) {
            *free = next_hop.to_words();
            self.hops += 1;
        }
        self
    }

    /// The next hop of a flow, by its [`digest`](crate::FlowKey::digest): all have the same share.
    #[inline(always)]
    #[must_use]
    pub fn next_hop(&self, flow: u32) -> Option<Address> {
        let share = (u64::from(flow) * u64::from(self.hops)) >> 32;
        if !self.has_next_hop() {
            return None;
        }
        let share = usize::try_from(share).ok()?;
        self.next_hops.get(share).map(|words| Address::from_words(*words))
    }

    /// All next hops.
    pub fn next_hops(&self) -> impl Iterator<Item = Address> {
        self.next_hops.into_iter().take(self.hops.into()).map(Address::from_words)
    }

    /// Whether there is a next hop.
    #[inline(always)]
    #[must_use]
    pub const fn has_next_hop(&self) -> bool {
        self.hops != 0
    }

    /// Whether the prefix is of the family of an address that it holds: `::/0` holds IPv4 addresses
    /// in their mapped form, and has nothing to say of them.
    #[inline(always)]
    #[must_use]
    pub const fn is_for(&self, address: &Address) -> bool {
        is_for(self.prefix_len as u32, address)
    }

    /// Whether the prefix is a single address.
    #[inline(always)]
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.prefix_len as u32 == RouteKey::FULL
    }
}
