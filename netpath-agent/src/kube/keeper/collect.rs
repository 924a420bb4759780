//! Blocks of nodes that are gone go back to their pools.
//!
//! Every agent looks now and then, and any of them may find it: first that the node is missing is
//! noted at the block, then, after a grace, the block is deleted. A node that lives clears the note.
//! How long the note has been there each agent measures by itself, from when it saw the note first:
//! nodes' clocks may differ.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Timing, cluster::Cluster};
use crate::{
    error::chain,
    kube::{chance::chance, request::Failed, types::IPBlock},
};

/// Nodes that may look without being less diligent. Where there are more, each looks less often, at
/// most so many times: else the API server would list all the time.
const NODES: usize = 16;
const RARER: usize = 6;

/// How many blocks each pool has.
pub type Counts = BTreeMap<String, u32>;

/// An agent's look at the blocks of others.
pub(super) struct Collector {
    cluster: Cluster,
    period: Duration,
    grace: Duration,
    /// Who wants to know how many there are.
    counts: watch::Sender<Counts>,
    /// Notes by the blocks' uids, and since when they were seen.
    notes: HashMap<String, (Time, Instant)>,
}

impl Collector {
    pub(super) fn new(cluster: Cluster, counts: watch::Sender<Counts>, timing: &Timing) -> Self {
        let Timing { collect, grace, .. } = *timing;
        Self { cluster, period: collect, grace, counts, notes: HashMap::new() }
    }

    /// Goes on for ever.
    pub(super) async fn run(mut self) {
        let mut rarer = 1;
        loop {
            sleep(self.period.mul_f64((0.75 + chance() / 2.0) * f64::from(rarer))).await;
            match self.round().await {
                Ok(nodes) => {
                    rarer = u8::try_from((nodes / NODES).clamp(1, RARER)).unwrap_or(1);
                }
                Err(error) => {
                    tracing::debug!(
                        error = chain(&error),
                        "blocks of gone nodes are not collected"
                    );
                }
            }
        }
    }

    /// Looks once. Returns how many nodes have blocks.
    async fn round(&mut self) -> Result<usize, Failed> {
        let mut by_node: BTreeMap<String, Vec<IPBlock>> = BTreeMap::new();
        let mut counts = Counts::new();
        for block in self.cluster.list().await? {
            *counts.entry(block.spec.pool.clone()).or_default() += 1;
            if let Some(node) = &block.spec.node {
                by_node.entry(node.clone()).or_default().push(block);
            }
        }
        self.counts.send_replace(counts);
        let count = by_node.len();
        by_node.remove(&self.cluster.node);
        let known = if by_node.is_empty() { BTreeSet::new() } else { self.cluster.nodes().await? };
        by_node.retain(|node, _| !known.contains(node));
        let missing =
            by_node.values().flatten().filter_map(ResourceExt::uid).collect::<BTreeSet<_>>();
        self.notes.retain(|uid, _| missing.contains(uid));
        for (node, blocks) in by_node {
            // The list may have been older than the node.
            if !self.cluster.is_gone(&node).await? {
                continue;
            }
            for block in blocks {
                self.look_at(&node, &block).await?;
            }
        }
        Ok(count)
    }

    async fn look_at(&mut self, node: &str, block: &IPBlock) -> Result<(), Failed> {
        let Some(since) = &block.spec.orphaned_since else {
            return self.cluster.orphan(block).await;
        };
        let entry = self.notes.entry(block.uid().unwrap_or_default());
        let (noted, seen) = entry.or_insert_with(|| (since.clone(), Instant::now()));
        if noted != since {
            (*noted, *seen) = (since.clone(), Instant::now());
        }
        if seen.elapsed() >= self.grace && self.cluster.delete(block).await? {
            let block = block.name_any();
            tracing::info!(node, block, "the node is gone; its block goes back to the pool");
        }
        Ok(())
    }
}
