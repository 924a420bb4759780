//! Addresses from the agent's pools.

use std::time::{SystemTime, UNIX_EPOCH};

use ipnet::IpNet;

use super::{Error, Node, pods};
use crate::{
    api::ipam::{Release, Reserve},
    endpoint::Record,
    ipam::{Allocation, Grant, Holder, PoolStatus, Problem, Request, Use},
    pod::{Addressing, GivenAddress, PodId},
    store::Change,
};

/// Seconds since 1970: what is kept until some time outlives the agent.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Node {
    /// The addresses of a pod, and what is to be written before they are used.
    pub(super) fn choose_addresses(
        &mut self,
        id: &PodId,
        addressing: &Addressing,
    ) -> Result<(Vec<GivenAddress>, Vec<Change>), Error> {
        let (pools, owner, requested) = match addressing {
            Addressing::Given { addresses } => return Ok((addresses.clone(), Vec::new())),
            Addressing::Pools { pools, owner, requested } => (pools, owner.as_deref(), requested),
        };
        let state = &self.state;
        let taken = |address| state.owner(address).is_some() || state.host.contains(&address);
        let request = Request { id, pools, owner, requested, taken: &taken };
        let granted = self.ipam.allocate(&request, now());
        // Nobody waits for what the cluster gives: it is asked before the last address is used.
        self.pools.low.notify_one();
        let Grant { addresses, changes } = granted?;
        Ok((addresses, Change::allocations(changes).collect()))
    }

    /// Lets go of the addresses that a pod has from the pools, and tells what is to be written.
    pub(super) fn release_addresses(&mut self, id: &PodId) -> Vec<Change> {
        Change::allocations(self.ipam.release(id, now())).collect()
    }

    /// Lets go of addresses whose pod is not there: it was lost before it was written.
    pub(super) fn release_strays(&mut self) -> Vec<Change> {
        let stray = |row: &Allocation| match &row.holder {
            Holder::Attached { id } if !self.has_pod(id) => Some(id.clone()),
            _ => None,
        };
        let strays: Vec<PodId> = self.ipam.allocations().filter_map(stray).collect();
        let mut changes = Vec::new();
        for id in strays {
            tracing::warn!(pod = %id, "is not there; its addresses are released");
            changes.extend(self.release_addresses(&id));
        }
        changes
    }

    /// How the pools are doing.
    pub(super) async fn pool_status(&mut self) -> Result<Vec<PoolStatus>, Error> {
        self.expire_addresses().await?;
        Ok(self.ipam.status())
    }

    /// All addresses that are not free.
    pub(super) async fn allocations(&mut self) -> Result<Vec<Allocation>, Error> {
        self.expire_addresses().await?;
        Ok(self.ipam.allocations().cloned().collect())
    }

    /// Lets addresses go as the operator wants it.
    pub(super) async fn release(&mut self, what: &Release) -> Result<Vec<Allocation>, Error> {
        let (rows, changes) = match what {
            Release::Address(address) => {
                let state = &self.state;
                let is_there =
                    |id: &PodId| pods::name(id).is_ok_and(|name| state.endpoint(&name).is_some());
                let (row, changes) = self.ipam.release_address(*address, is_there, now())?;
                (vec![row], changes)
            }
            Release::Owner(owner) => self.ipam.release_owner(owner, now())?,
        };
        self.journal.write(Change::allocations(changes).collect()).await?;
        Ok(rows)
    }

    /// Keeps an address for an owner.
    pub(super) async fn reserve(&mut self, what: &Reserve) -> Result<Allocation, Error> {
        let Reserve { address, owner, seconds } = what;
        let (row, changes) = self.ipam.reserve(*address, owner, *seconds, now())?;
        self.journal.write(Change::allocations(changes).collect()).await?;
        Ok(row)
    }

    /// Compares allocations with endpoints.
    pub(super) fn check_addresses(&self) -> Vec<Problem> {
        self.ipam.check(self.state.endpoints().flat_map(uses))
    }

    /// Ends what has come to its end.
    pub(super) async fn expire_addresses(&mut self) -> Result<(), Error> {
        let changes = self.ipam.tick(now());
        if changes.is_empty() {
            return Ok(());
        }
        self.journal.write(Change::allocations(changes).collect()).await
    }

    fn has_pod(&self, id: &PodId) -> bool {
        pods::name(id).is_ok_and(|name| self.state.endpoint(&name).is_some())
    }
}

fn uses(record: &Record) -> impl Iterator<Item = Use<'_>> {
    let id = record.attached.as_ref().map(|attached| &attached.spec.id);
    let endpoint = record.spec.name.as_str();
    record.spec.addresses.iter().map(IpNet::addr).map(move |address| Use { address, endpoint, id })
}
