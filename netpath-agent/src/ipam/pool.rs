//! A pool at work: which of its addresses are free, and which one is next.

use std::{collections::VecDeque, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    allocation::{Allocation, Holder},
    range::{AddressRange, Addresses, successor},
    spec::PoolSpec,
};

/// How many addresses keep the order in which they were let go. Older ones go back to the rest:
/// the cursor comes by them before those that were let go later are handed out.
const RESTED: usize = 1024;

/// How a pool is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its subnet.
    pub subnet: IpNet,
    /// Its router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Whether pods that name no pool are served from here.
    pub default: bool,
    /// Addresses that it can hand out, at most 2^64 - 1.
    pub size: u64,
    /// Of those: used by pods.
    pub used: u64,
    /// Waiting for their owners.
    pub held: u64,
    /// Cooling down.
    pub cooling: u64,
    /// Kept back because somebody on the wire answers for them.
    pub conflicting: u64,
    /// Kept for those who ask for the very address.
    pub reserved: u64,
    /// Free for anybody.
    pub free: u64,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) spec: PoolSpec,
    /// What may be handed out.
    assignable: Addresses,
    /// Of those, what is handed out only when asked for.
    reserved: Addresses,
    /// Not handed out yet, or long ago.
    free: Addresses,
    /// Free again, the one that was let go first in front.
    rested: VecDeque<IpAddr>,
    /// Where the search for a free address goes on.
    cursor: IpAddr,
    status: PoolStatus,
}

impl Pool {
    /// A pool whose addresses are all free. No pool hands out the router of another.
    pub(super) fn new(spec: &PoolSpec, gateways: &[IpAddr]) -> Self {
        let (mut assignable, mut reserved) = (spec.assignable(), spec.reserved());
        for gateway in gateways {
            assignable.remove(*gateway);
            reserved.remove(*gateway);
        }
        let mut free = assignable.clone();
        reserved.ranges().for_each(|range| free.remove(range));
        let status = PoolStatus {
            name: spec.name.clone(),
            subnet: spec.subnet,
            gateway: spec.gateway,
            default: spec.default,
            size: assignable.size(),
            used: 0,
            held: 0,
            cooling: 0,
            conflicting: 0,
            reserved: reserved.size(),
            free: free.size(),
        };
        let cursor = spec.subnet.network();
        let rested = VecDeque::new();
        Self { spec: spec.clone(), assignable, reserved, free, rested, cursor, status }
    }

    /// Goes on where a pool of the same name was: what was let go last is handed out last.
    pub(super) fn succeed(&mut self, before: &Self) {
        if self.spec.subnet != before.spec.subnet {
            return;
        }
        self.cursor = before.cursor;
        for address in &before.rested {
            if self.free.contains(*address) {
                self.free.remove(*address);
                self.rested.push_back(*address);
            }
        }
    }

    /// How many addresses of a range take no request for the very address, used or not.
    pub(super) fn for_anybody(&self, range: AddressRange) -> u64 {
        self.assignable.size_of(range).saturating_sub(self.reserved.size_of(range))
    }

    /// Whether the address is one that the pool hands out.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.assignable.contains(address)
    }

    /// Whether that takes no request for the very address.
    pub(super) fn is_for_anybody(&self, address: IpAddr) -> bool {
        self.contains(address) && !self.reserved.contains(address)
    }

    pub(super) const fn status(&self) -> &PoolStatus {
        &self.status
    }

    /// The address to hand out next: behind the last one that was, round and round, then the one
    /// that was let go first.
    pub(super) fn next(&self, taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let (first, last) = (self.spec.subnet.network(), self.spec.subnet.broadcast());
        let ahead = self.free.within(self.cursor..=last);
        let behind = self.free.within(first..=self.cursor);
        let rested = self.rested.iter().copied();
        ahead.chain(behind).chain(rested).find(|address| !taken(*address))
    }

    /// The search goes on behind this address.
    pub(super) fn pass(&mut self, address: IpAddr) {
        let next = successor(address);
        let wrapped = !self.spec.subnet.contains(&next);
        self.cursor = if wrapped { self.spec.subnet.network() } else { next };
    }

    /// Follows the row of one of its addresses from what it was to what it is.
    pub(super) fn follow(
        &mut self,
        address: IpAddr,
        old: Option<&Allocation>,
        new: Option<&Allocation>,
    ) {
        match (old, new) {
            (None, Some(_)) => self.take(address),
            (Some(_), None) => self.give(address),
            _ => {}
        }
        if let Some(old) = old {
            *self.figure(&old.holder) -= 1;
        }
        if let Some(new) = new {
            *self.figure(&new.holder) += 1;
        }
    }

    /// Of how many ranges what is free is made.
    #[cfg(test)]
    pub(super) fn free_ranges(&self) -> usize {
        self.free.ranges().count()
    }

    fn take(&mut self, address: IpAddr) {
        if self.reserved.contains(address) {
            self.status.reserved -= 1;
            return;
        }
        self.status.free -= 1;
        // Nearly always: a walk along the others only where the very address is asked for.
        if self.free.contains(address) {
            self.free.remove(address);
        } else if self.rested.front() == Some(&address) {
            self.rested.pop_front();
        } else {
            self.rested.retain(|rested| *rested != address);
        }
    }

    fn give(&mut self, address: IpAddr) {
        if self.reserved.contains(address) {
            self.status.reserved += 1;
            return;
        }
        self.status.free += 1;
        self.rested.push_back(address);
        if self.rested.len() > RESTED
            && let Some(oldest) = self.rested.pop_front()
        {
            self.free.insert(oldest);
        }
    }

    const fn figure(&mut self, holder: &Holder) -> &mut u64 {
        match holder {
            Holder::Attached { .. } => &mut self.status.used,
            Holder::Held { .. } => &mut self.status.held,
            Holder::Cooling { .. } => &mut self.status.cooling,
            Holder::Conflict { .. } => &mut self.status.conflicting,
        }
    }
}
