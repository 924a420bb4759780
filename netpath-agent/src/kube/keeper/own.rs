//! What this node has, and whether the API server agrees.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use kube::ResourceExt;
use tokio::time::Instant;

use super::{Error, Keeper, Place};
use crate::{
    ipam::{AddressRange, Block},
    kube::{pools::Shares, types::IPBlock},
};

/// A block of this node.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) pool: String,
    pub(super) range: AddressRange,
    /// Whether it is on its way back: nothing of it is handed out any more.
    pub(super) leaving: bool,
    /// When the API server last said, asked for it, that it is this node's.
    asked: Option<Instant>,
    /// Whether the watch has shown it since.
    seen: bool,
}

impl Own {
    /// One that the API server has just said to be this node's.
    pub(super) fn confirmed(pool: &str, range: AddressRange) -> Self {
        let asked = Some(Instant::now());
        Self { pool: pool.to_owned(), range, leaving: false, asked, seen: false }
    }
}

/// What a predecessor had, as far as it knew.
pub(super) fn stored(shares: &Shares) -> BTreeMap<String, Own> {
    let own =
        |pool: &String, range: &AddressRange| Own { asked: None, ..Own::confirmed(pool, *range) };
    let blocks = shares.values().flat_map(|share| share.blocks.iter().map(|it| (&share.pool, it)));
    blocks.map(|(pool, (name, range))| (name.clone(), own(pool, range))).collect()
}

impl<P: Place> Keeper<P> {
    /// Takes in what is this node's by what was heard, and holds on to what is not.
    pub(super) async fn agree(&mut self) -> Result<(), Error> {
        let (view, lag) = (Arc::clone(&self.view), self.timing.lag);
        let shown: HashSet<_> = view.blocks.values().filter_map(ResourceExt::uid).collect();
        self.gone.retain(|uid| shown.contains(uid));
        // The watch may still show what was before.
        let is_old = |own: &Own| own.asked.is_none_or(|at| at.elapsed() > lag);
        for (name, block) in &view.blocks {
            let is_orphan = block.spec.orphaned_since.is_some();
            // However long the watch goes on showing what was given back: nobody is asked again.
            let is_gone = block.uid().is_some_and(|uid| self.gone.contains(&uid));
            match self.own.get_mut(name) {
                Some(own) => {
                    own.seen = true;
                    if !is_orphan || own.leaving || !is_old(own) {
                        continue;
                    }
                }
                // Made by a predecessor, or the answer was lost.
                None if block.range().is_ok() && !is_gone => {}
                None => continue,
            }
            self.adopt(name).await?;
        }
        let is_missing = |(name, own): &(&String, &Own)| {
            !own.leaving && !view.blocks.contains_key(*name) && (own.seen || is_old(own))
        };
        let missing: Vec<_> =
            self.own.iter().filter(is_missing).map(|(name, _)| name.clone()).collect();
        if missing.is_empty() { Ok(()) } else { self.regain(missing).await }
    }

    /// Makes a block this node's that is so by its object.
    pub(super) async fn adopt(&mut self, name: &str) -> Result<(), Error> {
        if let Some(block) = self.cluster.confirm(name).await?
            && let Ok(range) = block.range()
        {
            tracing::info!(block = name, "the block is this node's");
            self.insert(name, &block.spec.pool, range).await?;
        }
        Ok(())
    }

    /// Hands out from a block that the API server has just said to be this node's.
    pub(super) async fn insert(
        &mut self,
        name: &str,
        pool: &str,
        range: AddressRange,
    ) -> Result<(), Error> {
        self.lost.remove(name);
        self.own.insert(name.to_owned(), Own::confirmed(pool, range));
        self.serve().await
    }

    /// Takes blocks again whose objects are gone, as after a long absence, if nobody else has them.
    async fn regain(&mut self, names: Vec<String>) -> Result<(), Error> {
        let listed = self.cluster.list().await?;
        for name in names {
            let Some(own) = self.own.get(&name).cloned() else { continue };
            let node = self.cluster.node.clone();
            let is_ours = |block: &&IPBlock| block.spec.node.as_ref() == Some(&node);
            if listed.iter().filter(is_ours).any(|block| block.name_any() == name) {
                self.adopt(&name).await?;
                continue;
            }
            // Others may have cut the pool in another way since.
            let others = listed.iter().filter(|block| !is_ours(block));
            let meets = |block: &&IPBlock| {
                block.range().is_ok_and(|range| range.meets(own.range)) || block.name_any() == name
            };
            if let Some(other) = others.into_iter().find(meets) {
                self.lose(&name, &own, other).await?;
            } else if !self.is_wanted(&name, &own) && self.users(own.range).await.is_empty() {
                self.own.remove(&name);
                self.serve().await?;
            } else {
                let block = Block { name: name.clone(), range: own.range, fixed: false };
                let object = IPBlock::of_node(&own.pool, &block, &node);
                // If somebody comes before, the next turn finds out who.
                if self.cluster.create(&object).await? {
                    tracing::warn!(block = name, "the block was gone; it is taken again");
                    self.insert(&name, &own.pool, own.range).await?;
                }
            }
        }
        Ok(())
    }

    /// Hands out nothing any more of a block that is another's.
    async fn lose(&mut self, name: &str, own: &Own, other: &IPBlock) -> Result<(), Error> {
        self.own.remove(name);
        let served = self.serve().await;
        let users = self.users(own.range).await;
        let node = other.spec.node.as_deref().unwrap_or("fixed addresses");
        let other = other.name_any();
        if users.is_empty() {
            tracing::warn!(block = name, node, "the block has become another's");
        } else {
            let users = users.join(", ");
            let what = format!(
                "block {name} ({}) has become {node}'s, as block {other}, while pods here have addresses of it: {users}; delete these pods",
                own.range
            );
            tracing::error!(block = name, node, users, "a block with pods has become another's");
            self.lost.insert(name.to_owned(), (own.range, what));
        }
        served
    }

    /// Whether a block is one of the pool as it is now.
    pub(super) fn is_wanted(&self, name: &str, own: &Own) -> bool {
        let wanted = self.view.pools.get(&own.pool);
        let block = wanted.and_then(|wanted| wanted.pool.blocks.named(name));
        block.is_some_and(|block| block.range == own.range && !block.fixed)
    }

    /// Who has addresses of a range, for people.
    pub(super) async fn users(&mut self, range: AddressRange) -> Vec<String> {
        let rows = self.place.users(range).await;
        rows.iter().map(|row| format!("{} {row}", row.address)).collect()
    }
}
