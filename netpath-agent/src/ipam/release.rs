//! Letting addresses go, keeping them for owners, and what time does to both.

use std::{net::IpAddr, num::NonZeroU64};

use super::{
    Ipam,
    allocate::taken,
    allocation::{Allocation, Changes, Claim, Holder},
    error::Error,
};
use crate::pod::PodId;

impl Ipam {
    /// An attachment is gone: its addresses cool down, fixed ones wait for their owner. One that
    /// has none is no error.
    pub fn release(&mut self, id: &PodId, now: u64) -> Changes {
        self.expire(now);
        let addresses: Vec<_> = self.rows.of_attachment(id).collect();
        for address in addresses {
            self.let_go(address, now);
        }
        self.rows.changes()
    }

    /// Somebody on the wire answered for an attachment's address: it is taken from the attachment
    /// and kept back for the cool-down. An owner that had it before keeps its claim; one that has
    /// just got it may get another.
    pub fn mark_conflict(&mut self, address: IpAddr, mac: &str, now: u64) -> Changes {
        self.expire(now);
        if let Some(row) = self.rows.get(address)
            && matches!(row.holder, Holder::Attached { .. })
        {
            let until = now.saturating_add(self.settings.cooldown());
            let holder = Holder::Conflict { mac: mac.to_owned(), until };
            let claim = row.claim.clone().filter(|claim| claim.since < row.since);
            self.put(Allocation { holder, claim, since: now, ..row.clone() });
        }
        self.rows.changes()
    }

    /// Ends what keeps an address: its owner's claim, a cool-down, a conflict, or an attachment
    /// that is not there any more. Returns what it was.
    pub fn release_address(
        &mut self,
        address: IpAddr,
        is_there: impl FnOnce(&PodId) -> bool,
        now: u64,
    ) -> Result<(Allocation, Changes), Error> {
        self.expire(now);
        let row = self.rows.get(address).ok_or(Error::NotAllocated(address))?.clone();
        match &row.holder {
            Holder::Attached { id } if is_there(id) => {
                return Err(Error::Attached { address, id: id.clone() });
            }
            Holder::Attached { .. } | Holder::Held { .. } => {
                self.put(Allocation { claim: None, ..row.clone() });
                self.let_go(address, now);
            }
            Holder::Cooling { .. } | Holder::Conflict { .. } => self.remove(address),
        }
        Ok((row, self.rows.changes()))
    }

    /// Ends all claims of an owner. Addresses that nobody uses cool down; those that a pod uses
    /// do so when it is gone. Returns what they were.
    pub fn release_owner(
        &mut self,
        owner: &str,
        now: u64,
    ) -> Result<(Vec<Allocation>, Changes), Error> {
        self.expire(now);
        let rows: Vec<_> = self.rows.of_owner(owner).cloned().collect();
        if rows.is_empty() {
            return Err(Error::NoOwner(owner.to_owned()));
        }
        for row in &rows {
            self.put(Allocation { claim: None, ..row.clone() });
            if matches!(row.holder, Holder::Held { .. }) {
                self.let_go(row.address, now);
            }
        }
        Ok((rows, self.rows.changes()))
    }

    /// Makes an address that is free, or that a pod uses, an owner's fixed one. With `seconds` it
    /// is held so long whenever no pod uses it, else until it is released. Repeating it with other
    /// seconds changes those.
    pub fn reserve(
        &mut self,
        address: IpAddr,
        owner: &str,
        seconds: Option<NonZeroU64>,
        now: u64,
    ) -> Result<(Allocation, Changes), Error> {
        self.expire(now);
        let pool = self.pool_of(address)?.spec.name.clone();
        self.check_second_claim(address, owner, &pool)?;
        let old = self.rows.get(address).and_then(|row| row.claim.as_ref());
        let first = old.map_or(now, |claim| claim.since);
        let claim = Claim { owner: owner.to_owned(), seconds, since: first };
        let held = Holder::Held { until: claim.until(now) };
        let (holder, since) = match self.rows.get(address) {
            None => (held, now),
            Some(row) => match (&row.holder, &row.claim) {
                (_, Some(claim)) if claim.owner != owner => return Err(taken(row, now)),
                (Holder::Held { .. }, _) => (held, row.since),
                (holder @ Holder::Attached { .. }, _) => (holder.clone(), row.since),
                _ => return Err(taken(row, now)),
            },
        };
        let row = Allocation { address, pool: Some(pool), holder, claim: Some(claim), since };
        self.put(row.clone());
        Ok((row, self.rows.changes()))
    }

    /// Ends what has come to its end. The other calls do so by themselves: this is for the store
    /// and for those who look.
    pub fn tick(&mut self, now: u64) -> Changes {
        self.expire(now);
        self.rows.changes()
    }

    /// When [`Self::tick`] has something to do next, in seconds since 1970.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.rows.deadlines().next().map(|(until, _)| until)
    }

    pub(super) fn expire(&mut self, now: u64) {
        while let Some(row) = self.rows.due(now).cloned() {
            let cool = row.since.saturating_add(self.settings.cooldown());
            match (&row.holder, &row.claim) {
                (Holder::Conflict { .. }, Some(claim)) => {
                    let holder = Holder::Held { until: claim.until(now) };
                    self.put(Allocation { holder, since: now, ..row });
                }
                // Held for less than the cool-down.
                (Holder::Held { .. }, _) if cool > now => {
                    let holder = Holder::Cooling { until: cool };
                    self.put(Allocation { holder, claim: None, ..row });
                }
                _ => self.remove(row.address),
            }
        }
    }

    /// From an attachment or an owner to the cool-down, or to the owner.
    fn let_go(&mut self, address: IpAddr, now: u64) {
        let Some(row) = self.rows.get(address).cloned() else { return };
        let holder = match (&row.claim, self.settings.cooldown()) {
            (Some(claim), _) => Holder::Held { until: claim.until(now) },
            (None, 0) => return self.remove(address),
            (None, cooldown) => Holder::Cooling { until: now.saturating_add(cooldown) },
        };
        self.put(Allocation { holder, since: now, ..row });
    }
}
