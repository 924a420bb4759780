//! Pools that come and go while addresses of them are used, as those of a cluster do.

use std::{collections::HashMap, net::IpAddr};

use super::{
    Ipam,
    allocation::{Allocation, Changes},
    pool::Pool,
    range::AddressRange,
    spec::PoolSpec,
};

/// Why two pools can not be used at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Both are called the same.
    #[error("there is another pool {0:?}; choose another name")]
    Name(String),
    /// Both would hand out one address.
    #[error("{address} is in pool {name} too; give the two pools different ranges")]
    Overlap {
        /// An address that is in both.
        address: IpAddr,
        /// The other pool.
        name: String,
    },
}

impl PoolSpec {
    /// Whether the pool can be used together with another one.
    pub fn goes_with(&self, other: &Self) -> Result<(), Clash> {
        let name = other.name.clone();
        if name == self.name {
            return Err(Clash::Name(name));
        }
        match other.assignable().common(&self.assignable()) {
            Some(address) => Err(Clash::Overlap { address, name }),
            None => Ok(()),
        }
    }
}

/// How much of a range is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Addresses that are not free: attached, held, cooling down or in conflict.
    pub rows: usize,
    /// Addresses that anybody can have at once.
    pub free: u64,
}

impl Ipam {
    /// Hands out from these pools from now on. They must have passed [`check()`](super::check()).
    /// Who has an address keeps it; one that is in no pool any more is not handed out again.
    pub fn set_pools(&mut self, pools: &[PoolSpec]) -> Changes {
        let Self { settings, pools: before, rows } = self;
        let mut new = Self::new(settings, pools);
        let before: HashMap<&str, &Pool> =
            before.iter().map(|pool| (pool.spec.name.as_str(), pool)).collect();
        for pool in &mut new.pools {
            if let Some(before) = before.get(pool.spec.name.as_str()) {
                pool.succeed(before);
            }
        }
        let mut moved = Vec::new();
        for row in rows.iter() {
            let index = new.pool_index(row.address);
            let pool = index.map(|index| &mut new.pools[index]).map(|pool| {
                pool.follow(row.address, None, Some(row));
                pool.spec.name.clone()
            });
            if pool != row.pool {
                moved.push(Allocation { pool, ..row.clone() });
            }
        }
        self.pools = new.pools;
        for row in moved {
            self.rows.put(row);
        }
        self.rows.changes()
    }

    /// How much of a range is used, which may be of no pool. `taken` are addresses that the node
    /// uses beside the pools.
    pub fn usage(&self, range: AddressRange, taken: impl IntoIterator<Item = IpAddr>) -> Usage {
        let is_open = |address| self.pools.iter().any(|pool: &Pool| pool.is_for_anybody(address));
        let all = self.pools.iter().map(|pool| pool.for_anybody(range));
        let all = all.fold(0, u64::saturating_add);
        let used = self.rows.within(range).filter(|row| is_open(row.address)).count();
        let is_lost = |address: &IpAddr| {
            range.contains(*address) && is_open(*address) && self.rows.get(*address).is_none()
        };
        let lost = taken.into_iter().filter(is_lost).count();
        let free = all.saturating_sub(u64::try_from(used + lost).unwrap_or(u64::MAX));
        Usage { rows: self.rows.within(range).count(), free }
    }

    /// What is not free of a range.
    pub fn allocations_within(&self, range: AddressRange) -> impl Iterator<Item = &Allocation> {
        self.rows.within(range)
    }
}
