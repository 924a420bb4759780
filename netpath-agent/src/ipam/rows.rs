//! The allocations, found by address, by attachment, by owner and by the time they end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    allocation::{Allocation, Changes, Holder},
    range::AddressRange,
};
use crate::pod::PodId;

#[derive(Debug, Default)]
pub(super) struct Rows {
    by_address: BTreeMap<IpAddr, Allocation>,
    attachments: BTreeMap<PodId, BTreeSet<IpAddr>>,
    owners: BTreeMap<String, BTreeSet<IpAddr>>,
    deadlines: BTreeSet<(u64, IpAddr)>,
    /// Addresses whose rows changed since the last [`Self::changes`].
    changed: BTreeSet<IpAddr>,
}

impl Rows {
    pub(super) fn get(&self, address: IpAddr) -> Option<&Allocation> {
        self.by_address.get(&address)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Allocation> {
        self.by_address.values()
    }

    /// The rows of a range of addresses.
    pub(super) fn within(&self, range: AddressRange) -> impl Iterator<Item = &Allocation> {
        self.by_address.range(range.first()..=range.last()).map(|(_, row)| row)
    }

    /// The addresses of an attachment.
    pub(super) fn of_attachment(&self, id: &PodId) -> impl Iterator<Item = IpAddr> {
        self.attachments.get(id).into_iter().flatten().copied()
    }

    /// The fixed addresses of an owner.
    pub(super) fn of_owner(&self, owner: &str) -> impl Iterator<Item = &Allocation> {
        let addresses = self.owners.get(owner).into_iter().flatten();
        addresses.filter_map(|address| self.by_address.get(address))
    }

    /// What ends by itself, and when, the next one first.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (u64, IpAddr)> {
        self.deadlines.iter().copied()
    }

    /// A row whose time has come.
    pub(super) fn due(&self, now: u64) -> Option<&Allocation> {
        let (until, address) = self.deadlines.first()?;
        self.by_address.get(address).filter(|_| *until <= now)
    }

    /// Takes a row in, in place of the one with the same address, which is returned.
    pub(super) fn put(&mut self, row: Allocation) -> Option<Allocation> {
        let address = row.address;
        let old = self.remove(address);
        if let Holder::Attached { id } = &row.holder {
            self.attachments.entry(id.clone()).or_default().insert(address);
        }
        if let Some(claim) = &row.claim {
            self.owners.entry(claim.owner.clone()).or_default().insert(address);
        }
        if let Some(until) = row.holder.until() {
            self.deadlines.insert((until, address));
        }
        self.by_address.insert(address, row);
        old
    }

    /// Lets a row go.
    pub(super) fn remove(&mut self, address: IpAddr) -> Option<Allocation> {
        self.changed.insert(address);
        let row = self.by_address.remove(&address)?;
        if let Holder::Attached { id } = &row.holder {
            forget(&mut self.attachments, id, address);
        }
        if let Some(claim) = &row.claim {
            forget(&mut self.owners, &claim.owner, address);
        }
        if let Some(until) = row.holder.until() {
            self.deadlines.remove(&(until, address));
        }
        Some(row)
    }

    /// The row stands in the store as it is here.
    pub(super) fn is_written(&mut self, address: IpAddr) {
        self.changed.remove(&address);
    }

    /// What changed since this was last asked.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for address in std::mem::take(&mut self.changed) {
            match self.by_address.get(&address) {
                Some(row) => changes.put.push(row.clone()),
                None => changes.delete.push(address),
            }
        }
        changes
    }
}

fn forget<K>(index: &mut BTreeMap<K, BTreeSet<IpAddr>>, key: &K, address: IpAddr)
where
    K: Ord,
{
    if let Some(addresses) = index.get_mut(key) {
        addresses.remove(&address);
        if addresses.is_empty() {
            index.remove(key);
        }
    }
}
