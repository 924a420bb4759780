//! Taking blocks, and giving them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::ResourceExt;
use tokio::time::Instant;

use super::{
    Error, Keeper, Place,
    own::Own,
    plan::{Standing, Step},
};
use crate::{
    hash::fnv1a,
    kube::{
        pools::{Share, Shares},
        types::IPBlock,
    },
};

/// Blocks of a pool that are taken or given back in a turn, at most.
const STEPS: usize = 8;

/// Blocks that are tried of a pool where others come before.
const TRIES: usize = 5;

impl<P: Place> Keeper<P> {
    /// Does what there is to do.
    pub(super) async fn turn(&mut self) -> Result<(), Error> {
        self.serve().await?;
        self.agree().await?;
        self.leave().await?;
        let view = Arc::clone(&self.view);
        self.full.retain(|pool, _| view.pools.contains_key(pool));
        let own = self.own.values().map(|own| own.pool.clone());
        let pools: BTreeSet<_> = own.chain(view.pools.keys().cloned()).collect();
        let mut result = Ok(());
        for pool in pools {
            // What one pool waits for is no reason to leave the others as they are.
            result = result.and(self.balance(&pool).await);
        }
        self.forget_lost().await;
        result
    }

    /// Hands out from what this node has of the pools as they are now.
    pub(super) async fn serve(&mut self) -> Result<(), Error> {
        let shares = self.shares();
        if self.served.as_ref() != Some(&shares) {
            self.served = None;
            self.place.serve(&shares, None).await.map_err(Error::Place)?;
            self.served = Some(shares);
        }
        Ok(())
    }

    fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        for (name, own) in self.own.iter().filter(|(_, own)| !own.leaving) {
            let share = shares.entry(own.pool.clone()).or_insert_with(|| self.share(&own.pool));
            share.blocks.insert(name.clone(), own.range);
        }
        for share in shares.values_mut() {
            let Some(wanted) = self.view.pools.get(&share.pool) else { continue };
            let own = share.blocks.keys().filter_map(|name| self.own.get_key_value(name));
            let own = own.filter(|(name, own)| self.is_wanted(name, own));
            share.spec = wanted.pool.blocks.within(own.map(|(_, own)| own.range));
        }
        shares
    }

    /// Nothing yet of a pool.
    fn share(&self, pool: &str) -> Share {
        let wanted = self.view.pools.get(pool);
        Share {
            pool: pool.to_owned(),
            spec: None,
            priority: wanted.map_or(0, |wanted| wanted.pool.priority),
            namespaces: wanted.and_then(|wanted| wanted.namespaces.clone()),
            pods: wanted.and_then(|wanted| wanted.pods.clone()),
            blocks: BTreeMap::new(),
        }
    }

    /// Takes and gives back blocks of a pool.
    async fn balance(&mut self, pool: &str) -> Result<(), Error> {
        for wanted in [true, false] {
            for _ in 0..STEPS {
                let Some(standing) = self.standing(pool, wanted).await else { break };
                let step = standing.step();
                if wanted && step != Some(Step::Take) {
                    self.full.remove(pool);
                }
                let goes_on = match step {
                    None => false,
                    Some(Step::Take) => self.take(pool).await?,
                    Some(Step::GiveBack(name)) => self.give_back(&name).await?,
                };
                if !goes_on {
                    break;
                }
            }
        }
        Ok(())
    }

    /// How this node stands with the blocks of a pool as it is now, or with what is left of others.
    async fn standing(&mut self, pool: &str, wanted: bool) -> Option<Standing> {
        let size = match self.view.pools.get(pool) {
            Some(wanted) => wanted.pool.blocks.size(),
            None if wanted => return None,
            None => 0,
        };
        let is_meant = |(name, own): &(&String, &Own)| {
            own.pool == pool && !own.leaving && self.is_wanted(name, own) == wanted
        };
        let (names, ranges): (Vec<_>, Vec<_>) =
            self.own.iter().filter(is_meant).map(|(name, own)| (name.clone(), own.range)).unzip();
        let usage = self.place.usage(&ranges).await;
        Some(Standing { size, wanted, blocks: names.into_iter().zip(usage).collect() })
    }

    /// Takes a block. Returns whether there was one.
    async fn take(&mut self, pool: &str) -> Result<bool, Error> {
        let view = Arc::clone(&self.view);
        let Some(wanted) = view.pools.get(pool) else { return Ok(false) };
        if self.full.get(pool).is_some_and(|until| Instant::now() < *until) {
            return Ok(false);
        }
        let listed = self.cluster.list().await?;
        let node = self.cluster.node.clone();
        // The answer to its creation was lost.
        let is_new = |block: &&IPBlock| {
            block.spec.node.as_ref() == Some(&node)
                && block.spec.pool == pool
                && block.range().is_ok()
                && !self.own.contains_key(&block.name_any())
        };
        if let Some(block) = listed.iter().find(is_new) {
            self.adopt(&block.name_any()).await?;
            return Ok(true);
        }
        // Whatever pool others are of: it may be gone, and its addresses in use.
        let others = listed.iter().filter_map(|block| block.range().ok());
        let mut taken: Vec<_> = others.chain(self.own.values().map(|own| own.range)).collect();
        // So that nodes that look at the same time do not all try the same.
        let start = fnv1a(format!("{node}/{pool}").as_bytes());
        for _ in 0..TRIES {
            let Some(block) = wanted.pool.blocks.pick_beside(start, taken.iter().copied()) else {
                if self.full.insert(pool.to_owned(), Instant::now() + self.timing.full).is_none() {
                    tracing::warn!(pool, "the IPPool has no block left for this node; widen it");
                }
                return Ok(false);
            };
            if self.cluster.create(&IPBlock::of_node(pool, &block, &node)).await? {
                tracing::info!(pool, block = block.name, "the block is taken");
                self.full.remove(pool);
                self.insert(&block.name, pool, block.range).await?;
                return Ok(true);
            }
            taken.push(block.range);
        }
        // Others were always faster: not before the next turn.
        Ok(false)
    }

    /// Gives a block back. Returns whether nobody had come before and used it.
    async fn give_back(&mut self, name: &str) -> Result<bool, Error> {
        let Some(own) = self.own.get_mut(name) else { return Ok(false) };
        own.leaving = true;
        let range = own.range;
        let shares = self.shares();
        self.served = None;
        let served = self.place.serve(&shares, Some(range)).await;
        if matches!(served, Ok(true)) {
            self.served = Some(shares);
            self.leave().await?;
            tracing::info!(block = name, "the block is given back");
        } else if let Some(own) = self.own.get_mut(name) {
            // Nobody was asked to delete it yet.
            own.leaving = false;
        }
        served.map_err(Error::Place)
    }

    /// Deletes what nothing is handed out of any more.
    async fn leave(&mut self) -> Result<(), Error> {
        let is_leaving = |(name, own): (&String, &Own)| own.leaving.then(|| name.clone());
        let leaving: Vec<_> = self.own.iter().filter_map(is_leaving).collect();
        for name in leaving {
            self.cluster.give_back(&name).await?;
            self.own.remove(&name);
            self.gone.extend(self.view.blocks.get(&name).and_then(ResourceExt::uid));
        }
        Ok(())
    }

    /// What is another's is no news when its last pod is gone.
    async fn forget_lost(&mut self) {
        let ranges: Vec<_> =
            self.lost.iter().map(|(name, (range, _))| (name.clone(), *range)).collect();
        for (name, range) in ranges {
            if self.users(range).await.is_empty() {
                self.lost.remove(&name);
            }
        }
    }
}
