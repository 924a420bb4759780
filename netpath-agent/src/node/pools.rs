//! Addresses from pools of the cluster: what the keeper of blocks is told, and has done.

use std::{error::Error as StdError, sync::Arc};

use kube::Client;
use tokio::sync::Notify;

use super::{Node, Shared, addresses::now};
use crate::{
    ipam::{AddressRange, Allocation, Usage},
    kube::{
        keeper::{Keeper, Place, Timing},
        pools::{Shares, merge},
    },
    store::Change,
};

/// The node's part of the pools of the cluster.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// What the store has of them.
    shares: Shares,
    /// Why some can not be used beside those of the file.
    clashes: Vec<String>,
    /// What the keeper wants the operator to know.
    warnings: Vec<String>,
    /// Wakes the keeper: an address was handed out, or there was none.
    pub(super) low: Arc<Notify>,
}

impl Pools {
    /// What a predecessor had.
    pub(super) fn new(shares: Shares, clashes: Vec<String>) -> Self {
        Self { shares, clashes, ..Self::default() }
    }

    /// What this node has of them, by name.
    pub(super) const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// What the operator should know.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &String> {
        self.clashes.iter().chain(&self.warnings)
    }
}

/// What has the node take blocks of the cluster's pools, and give them back.
pub(super) async fn keeper(node: &Shared, client: Client, name: &str) -> Keeper<Holder> {
    let (file, low) = {
        let node = node.lock().await;
        (node.config.pools.clone(), Arc::clone(&node.pools.low))
    };
    Keeper::new(client, name, &file, Holder(Arc::clone(node)), low, Timing::default()).await
}

/// The node as the keeper sees it.
pub(super) struct Holder(Shared);

impl Place for Holder {
    async fn shares(&self) -> Shares {
        self.0.lock().await.pools.shares.clone()
    }

    async fn usage(&self, ranges: &[AddressRange]) -> Vec<Usage> {
        let mut node = self.0.lock().await;
        node.note_expired();
        let host = &node.state.host;
        let usage = |range: &AddressRange| {
            node.ipam.usage(*range, host.range(range.first()..=range.last()).copied())
        };
        ranges.iter().map(usage).collect()
    }

    async fn users(&self, range: AddressRange) -> Vec<Allocation> {
        self.0.lock().await.ipam.allocations_within(range).cloned().collect()
    }

    async fn serve(
        &self,
        shares: &Shares,
        unused: Option<AddressRange>,
    ) -> Result<bool, Box<dyn StdError + Send + Sync>> {
        let (changes, journal) = {
            let mut node = self.0.lock().await;
            if unused.is_some_and(|range| node.ipam.allocations_within(range).next().is_some()) {
                return Ok(false);
            }
            (node.serve(shares), node.journal.clone())
        };
        journal.write(changes).await?;
        self.0.lock().await.pools.shares.clone_from(shares);
        Ok(true)
    }

    async fn tell(&self, warnings: Vec<String>) {
        self.0.lock().await.pools.warnings = warnings;
    }
}

impl Node {
    /// Hands out from the file's pools and from these. Returns what is to be written.
    fn serve(&mut self, shares: &Shares) -> Vec<Change> {
        let (specs, clashes) = merge(&self.config.pools, shares);
        let moved = self.ipam.set_pools(&specs);
        let mut changes = Change::shares(&self.pools.shares, shares);
        changes.extend(Change::allocations(moved));
        self.pools.clashes = clashes;
        changes
    }

    /// Ends what has come to its end; nobody waits for the disk.
    fn note_expired(&mut self) {
        let changes = self.ipam.tick(now());
        if !changes.is_empty() {
            self.journal.note(Change::allocations(changes).collect());
        }
    }
}
