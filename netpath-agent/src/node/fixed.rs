//! Fixed addresses of pods: what this node has of them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio::sync::Notify;

use super::{
    Error, Shared,
    cluster::Cluster,
    remove,
    turns::{Turn, Turns},
};
use crate::{
    error::chain,
    kube::{
        fixed::{Hold, Place, Wish},
        pools::View,
        types::{self, Owner},
    },
    pod::GivenAddress,
    store::Change,
};

/// The fixed addresses that this node has.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    holds: BTreeMap<Owner, Hold>,
    turns: Turns<Owner>,
    /// Tells their keeper that one may not be needed any more.
    pub(super) idle: Arc<Notify>,
}

impl Fixed {
    /// What a predecessor had.
    pub(super) fn new(holds: Vec<Hold>) -> Self {
        let holds = holds.into_iter().map(|hold| (hold.owner.clone(), hold)).collect();
        Self { holds, ..Self::default() }
    }
}

/// Makes a pod's fixed addresses this node's, if they are not yet. While the turn is held, nobody lets them
/// go.
pub(super) async fn hold(
    node: &Shared,
    cluster: &Cluster,
    owner: &Owner,
    fixed: &types::Fixed,
    pools: &[String],
) -> Result<(Vec<GivenAddress>, Turn), Error> {
    let queue = node.lock().await.fixed.turns.queue(owner);
    let turn = queue.lock_owned().await;
    let known = node.lock().await.fixed.holds.get(owner).cloned();
    // Once the API server was asked to let them go, only it knows.
    let is_own = |hold: &Hold| !hold.leaving && is_wanted(hold, fixed);
    if let Some(hold) = known.filter(is_own) {
        return Ok((hold.addresses, turn));
    }
    let view = cluster.views.borrow().clone();
    let wish = Wish { owner, fixed, pools };
    let hold = Box::pin(cluster.registry.hold(&wish, &view)).await.map_err(Error::fixed)?;
    let journal = {
        let mut node = node.lock().await;
        node.fixed.holds.insert(owner.clone(), hold.clone());
        node.journal.clone()
    };
    let addresses = hold.addresses.clone();
    journal.write(vec![Change::PutHold(Box::new(hold))]).await?;
    Ok((addresses, turn))
}

/// Whether what a pod asks for is what it has.
fn is_wanted(hold: &Hold, fixed: &types::Fixed) -> bool {
    let types::Fixed::These(wanted) = fixed else { return true };
    let has: Vec<IpAddr> = hold.addresses.iter().map(|given| given.address.addr()).collect();
    has.len() == wanted.len() && wanted.iter().all(|address| has.contains(address))
}

/// The node as the keeper of fixed addresses sees it.
pub(super) struct Holder {
    pub(super) node: Shared,
    pub(super) cluster: Arc<Cluster>,
}

impl Place for Holder {
    async fn holds(&self) -> Vec<Hold> {
        self.node.lock().await.fixed.holds.values().cloned().collect()
    }

    async fn turn(&self, owner: &Owner) -> Option<Turn> {
        self.node.lock().await.fixed.turns.queue(owner).try_lock_owned().ok()
    }

    async fn is_needed(&self, owner: &Owner) -> bool {
        let node = self.node.lock().await;
        let mut attached = node.state.endpoints().filter_map(|record| record.attached.as_ref());
        attached.any(|attached| attached.fixed.as_ref() == Some(owner))
            || self.cluster.directory.has(owner) != Some(false)
    }

    async fn keep(&self, hold: Hold) {
        let mut node = self.node.lock().await;
        // What is not written is found out again.
        node.journal.note(vec![Change::PutHold(Box::new(hold.clone()))]);
        node.fixed.holds.insert(hold.owner.clone(), hold);
    }

    async fn leave(&self, owner: &Owner) {
        let (hold, journal) = {
            let mut node = self.node.lock().await;
            let Some(hold) = node.fixed.holds.get_mut(owner) else { return };
            hold.leaving = true;
            (hold.clone(), node.journal.clone())
        };
        if let Err(error) = journal.write(vec![Change::PutHold(Box::new(hold))]).await {
            tracing::warn!(%owner, error = chain(&error), "not on the disk: its addresses are let go");
        }
    }

    async fn forget(&self, owner: &Owner) {
        let mut node = self.node.lock().await;
        if node.fixed.holds.remove(owner).is_some() {
            // What is written twice is let go twice.
            node.journal.note(vec![Change::RemoveHold(owner.clone())]);
        }
    }

    async fn lose(&self, owner: &Owner) {
        let names: Vec<_> = {
            let node = self.node.lock().await;
            let is = |attached: &crate::endpoint::Attached| attached.fixed.as_ref() == Some(owner);
            let records =
                node.state.endpoints().filter(|record| record.attached.as_ref().is_some_and(is));
            records.map(|record| record.spec.name.clone()).collect()
        };
        for name in names {
            if let Err(error) = remove::remove(&self.node, &name).await {
                tracing::error!(endpoint = %name, error = chain(&error), "can not be withdrawn");
            }
        }
    }

    fn pools(&self) -> Arc<View> {
        self.cluster.views.borrow().clone()
    }
}
