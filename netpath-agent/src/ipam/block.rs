//! Blocks: the parts of a pool that nodes of a cluster take from it, each whole, so that they do
//! not have to agree on every address.
//!
//! A pool's subnet is cut into blocks of one size, the first at the subnet's first address. A block
//! with addresses for anybody is for one node at a time. A block of which only reserved addresses
//! can be had is no node's: they are fixed ones, handed out by name. All others are passed over.
//! Nothing here lists blocks: a /64 has more of them than fit into any memory.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::IpNet;
use rangemap::RangeInclusiveSet;

use super::{
    range::{AddressRange, Addresses, bits},
    spec::PoolSpec,
};

/// The most addresses that a block can have.
pub const MAX_BLOCK_SIZE: u32 = 65_536;

/// A number of addresses that no block can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} is no size of a block; write a power of two from 1 to {MAX_BLOCK_SIZE}, such as 16")]
pub struct BadBlockSize(pub u32);

/// A part of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The pool's name and the block's first address, such as `pods-10-0-1-16` or
    /// `pods-fd00-0001-0000-0000-0000-0000-0000-0010`. No other block of any pool has it. A DNS
    /// subdomain (RFC 1123) if the pool's name is one.
    pub name: String,
    /// All its addresses, those too that can not be had.
    pub range: AddressRange,
    /// Whether only reserved addresses can be had of it: then it is not for nodes.
    pub fixed: bool,
}

/// The blocks of a pool.
#[derive(Clone, Debug)]
pub struct Blocks {
    spec: PoolSpec,
    /// Of how many bits the addresses of one block differ.
    bits: u32,
    assignable: Addresses,
    reserved: Addresses,
    /// The numbers of the blocks for nodes, from 0 at the subnet's first address.
    nodes: RangeInclusiveSet<u128>,
    /// Of those for fixed addresses only.
    fixed: RangeInclusiveSet<u128>,
}

impl Blocks {
    /// The blocks of so many addresses, of a pool that passed [`PoolSpec::check`]. A subnet smaller
    /// than a block is one.
    pub fn new(spec: &PoolSpec, size: u32) -> Result<Self, BadBlockSize> {
        if !size.is_power_of_two() || size > MAX_BLOCK_SIZE {
            return Err(BadBlockSize(size));
        }
        let (assignable, reserved) = (spec.assignable(), spec.reserved());
        let mut anybody = assignable.clone();
        reserved.ranges().for_each(|range| anybody.remove(range));
        let (nodes, fixed) = (RangeInclusiveSet::new(), RangeInclusiveSet::new());
        let bits = size.trailing_zeros();
        let mut blocks = Self { spec: spec.clone(), bits, assignable, reserved, nodes, fixed };
        blocks.nodes = blocks.numbers(&anybody);
        blocks.fixed = blocks.numbers(&blocks.reserved);
        for run in blocks.nodes.iter() {
            blocks.fixed.remove(run.clone());
        }
        Ok(blocks)
    }

    /// How many blocks there are for nodes, at most 2^64 - 1.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(length(&self.nodes)).unwrap_or(u64::MAX)
    }

    /// The blocks for nodes, in order, found one after the other.
    pub fn for_nodes(&self) -> impl Iterator<Item = Block> {
        self.nodes.iter().cloned().flatten().map(|number| self.block(number))
    }

    /// The blocks of which only reserved addresses can be had, in the same way.
    pub fn for_fixed(&self) -> impl Iterator<Item = Block> {
        self.fixed.iter().cloned().flatten().map(|number| self.block(number))
    }

    /// The first block for a node that is not taken, from the given one on, round and round. With a
    /// random or hashed start, nodes that look at the same time find different ones.
    pub fn pick(&self, start: u64, mut taken: impl FnMut(&Block) -> bool) -> Option<Block> {
        let mut ahead = u128::from(start).checked_rem(length(&self.nodes))?;
        let first = self.nodes.iter().find_map(|run| {
            let length = run.end() - run.start() + 1;
            let number = (ahead < length).then(|| run.start() + ahead);
            ahead = ahead.saturating_sub(length);
            number
        })?;
        let from = |run: &RangeInclusive<u128>| first.max(*run.start())..=*run.end();
        let upto = |run: &RangeInclusive<u128>| *run.start()..(*run.end() + 1).min(first);
        let ahead = self.nodes.iter().flat_map(from);
        let behind = self.nodes.iter().flat_map(upto);
        ahead.chain(behind).map(|number| self.block(number)).find(|block| !taken(block))
    }

    /// The same, of those that share no address with any of these ranges, of whatever pool.
    #[must_use]
    pub fn pick_beside(
        &self,
        start: u64,
        taken: impl IntoIterator<Item = AddressRange>,
    ) -> Option<Block> {
        let mut set = Addresses::default();
        let is_v4 = self.spec.subnet.addr().is_ipv4();
        taken
            .into_iter()
            .filter(|range| range.first().is_ipv4() == is_v4)
            .for_each(|range| set.insert(range));
        self.pick(start, |block| set.clip(block.range).next().is_some())
    }

    /// The first address of a block that takes no request for the very address, and is not taken.
    #[must_use]
    pub fn free_of(&self, block: AddressRange, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let mut open = self
            .assignable
            .within(block.first()..=block.last())
            .filter(|address| !self.reserved.contains(*address));
        open.find(|address| !taken(*address))
    }

    /// How many addresses a block has, those too that can not be had.
    #[must_use]
    pub fn size(&self) -> u64 {
        let subnet = self.spec.subnet;
        let most = u32::from(subnet.max_prefix_len() - subnet.prefix_len());
        1 << self.bits.min(most)
    }

    /// The block that an address is of; none: the pool does not hand the address out.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Block> {
        self.assignable.contains(address).then(|| self.block(self.number(address)))
    }

    /// The block of a name; none: no block of this pool is called so, or nothing can be had of it.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Block> {
        let text = name.strip_prefix(&self.spec.name)?.strip_prefix('-')?;
        let first: IpAddr = match self.spec.subnet {
            IpNet::V4(_) => text.replace('-', ".").parse::<Ipv4Addr>().ok()?.into(),
            IpNet::V6(_) => text.replace('-', ":").parse::<Ipv6Addr>().ok()?.into(),
        };
        if !self.spec.subnet.contains(&first) {
            return None;
        }
        let number = self.number(first);
        let exists = self.nodes.contains(&number) || self.fixed.contains(&number);
        exists.then(|| self.block(number)).filter(|block| block.name == name)
    }

    /// The pool as far as these blocks go: what a node that has them hands out. None: nothing.
    #[must_use]
    pub fn within(&self, blocks: impl IntoIterator<Item = AddressRange>) -> Option<PoolSpec> {
        let mut wanted = Addresses::default();
        blocks.into_iter().for_each(|block| wanted.insert(block));
        let part = |of: &Addresses| wanted.ranges().flat_map(|range| of.clip(range)).collect();
        // Without any ranges, a pool has its whole subnet.
        let ranges: Vec<AddressRange> = part(&self.assignable);
        let spec = || PoolSpec {
            reserve: part(&self.reserved),
            ranges: ranges.clone(),
            exclude: Vec::new(),
            ..self.spec.clone()
        };
        (!ranges.is_empty()).then(spec)
    }

    fn block(&self, number: u128) -> Block {
        let first = bits(self.spec.subnet.network()) + (number << self.bits);
        let last = (first | ((1 << self.bits) - 1)).min(bits(self.spec.subnet.broadcast()));
        let (first, last) = (self.address(first), self.address(last));
        let suffix = match first {
            IpAddr::V4(v4) => v4.to_string().replace('.', "-"),
            IpAddr::V6(v6) => v6.segments().map(|segment| format!("{segment:04x}")).join("-"),
        };
        Block {
            name: format!("{}-{suffix}", self.spec.name),
            range: AddressRange::between(first, last),
            fixed: self.fixed.contains(&number),
        }
    }

    /// The numbers of the blocks that have any of these addresses.
    fn numbers(&self, addresses: &Addresses) -> RangeInclusiveSet<u128> {
        let numbers = |range: AddressRange| self.number(range.first())..=self.number(range.last());
        addresses.ranges().map(numbers).collect()
    }

    /// The number of the block that an address of the subnet is in.
    fn number(&self, address: IpAddr) -> u128 {
        (bits(address) - bits(self.spec.subnet.network())) >> self.bits
    }

    /// A number as an address of the pool's family.
    fn address(&self, bits: u128) -> IpAddr {
        match self.spec.subnet {
            // Numbers of this family have 32 bits.
            IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from_bits(bits).into(),
        }
    }
}

/// How many numbers there are.
fn length(numbers: &RangeInclusiveSet<u128>) -> u128 {
    numbers.iter().fold(0, |sum, run| sum + (run.end() - run.start()) + 1)
}

#[cfg(test)]
mod tests;
