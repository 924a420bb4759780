//! Addresses for pods: who has which, who gets it next, and when it may be had again.
//!
//! No I/O and no clock: the time is passed in, in seconds since 1970, and must not run backwards
//! (take the clock once at start and add what has passed since). Every change returns the rows to
//! write; [`Ipam::restore`] makes the same state of them again.
//!
//! ```text
//!            allocate              release
//!     free ------------> attached ---------> cooling ---> free
//!       |                 |  ^  |
//!       | reserve  release|  |  | mark_conflict
//!       |                 v  |  v
//!       +--------------> held  conflict ----------------> free, or held for its owner
//! ```
//! No address ever goes from one attachment to another without the cool-down in between; to its
//! owner, a held one goes back at once.

mod allocate;
mod allocation;
mod block;
mod check;
mod error;
mod follow;
mod pool;
mod range;
mod release;
mod rows;
mod spec;

use std::net::IpAddr;

pub use self::{
    allocate::{Grant, Request},
    allocation::{Allocation, Changes, Claim, Holder},
    block::{BadBlockSize, Block, Blocks, MAX_BLOCK_SIZE},
    check::{Kind, Problem, Use},
    error::Error,
    follow::{Clash, Usage},
    pool::PoolStatus,
    range::{AddressRange, NoRange},
    spec::{Invalid, PoolSpec, check},
};
use self::{pool::Pool, rows::Rows};
use crate::config;

/// All pools and what is allocated of them.
#[derive(Debug)]
pub struct Ipam {
    settings: config::Ipam,
    pools: Vec<Pool>,
    rows: Rows,
}

impl Ipam {
    /// Pools of which nothing is allocated. They must have passed [`check()`].
    #[must_use]
    pub fn new(settings: &config::Ipam, pools: &[PoolSpec]) -> Self {
        let gateways: Vec<IpAddr> = pools.iter().filter_map(|pool| pool.gateway).collect();
        let pools = pools.iter().map(|spec| Pool::new(spec, &gateways)).collect();
        Self { settings: settings.clone(), pools, rows: Rows::default() }
    }

    /// Takes in what was allocated before the agent started. Pools may have changed since: what is
    /// in no pool any more is kept until it is released, and then not handed out again.
    pub fn restore(&mut self, mut rows: Vec<Allocation>, now: u64) -> Changes {
        // The search for free addresses goes on where it was: behind the youngest.
        rows.sort_by_key(|row| (row.since, row.address));
        for row in rows {
            let address = row.address;
            let index = self.pool_index(address);
            let restored = Allocation {
                pool: index.map(|index| self.pools[index].spec.name.clone()),
                holder: self.bounded(&row, now),
                ..row.clone()
            };
            let is_written = restored == row;
            self.put(restored);
            if is_written {
                self.rows.is_written(address);
            }
            if let Some(index) = index {
                self.pools[index].pass(address);
            }
        }
        self.tick(now)
    }

    /// How the pools are doing, in order of configuration.
    #[must_use]
    pub fn status(&self) -> Vec<PoolStatus> {
        self.pools.iter().map(|pool| pool.status().clone()).collect()
    }

    /// All addresses that are not free, in order.
    #[must_use]
    pub fn allocations(&self) -> impl ExactSizeIterator<Item = &Allocation> {
        self.rows.iter()
    }

    /// A deadline is never further away than what is configured: the clock may have been wrong
    /// when it was written.
    fn bounded(&self, row: &Allocation, now: u64) -> Holder {
        let cool = now.saturating_add(self.settings.cooldown());
        let mut holder = row.holder.clone();
        match &mut holder {
            Holder::Attached { .. } => {}
            Holder::Held { until } => {
                let latest = row.claim.as_ref().and_then(|claim| claim.until(now));
                *until = until.map(|until| latest.map_or(until, |latest| until.min(latest)));
            }
            Holder::Cooling { until } | Holder::Conflict { until, .. } => *until = cool.min(*until),
        }
        holder
    }

    /// The pool that hands an address out.
    fn pool_index(&self, address: IpAddr) -> Option<usize> {
        self.pools.iter().position(|pool| pool.contains(address))
    }

    fn pool_of(&self, address: IpAddr) -> Result<&Pool, Error> {
        if let Some(index) = self.pool_index(address) {
            return Ok(&self.pools[index]);
        }
        let around = self.pools.iter().find(|pool| pool.spec.subnet.contains(&address));
        if let Some(pool) = around {
            return Err(Error::Withheld { address, pool: pool.spec.name.clone() });
        }
        let subnets = self.pools.iter().map(|pool| pool.spec.subnet.to_string());
        Err(Error::Outside { address, known: subnets.collect::<Vec<_>>().join(", ") })
    }

    fn put(&mut self, row: Allocation) {
        let address = row.address;
        let index = self.pool_index(address);
        let old = self.rows.put(row);
        if let Some(index) = index {
            self.pools[index].follow(address, old.as_ref(), self.rows.get(address));
        }
    }

    fn remove(&mut self, address: IpAddr) {
        let old = self.rows.remove(address);
        if let Some(index) = self.pool_index(address) {
            self.pools[index].follow(address, old.as_ref(), None);
        }
    }
}

#[cfg(test)]
mod tests;
