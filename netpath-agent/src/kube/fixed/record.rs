//! Which address is whose, in blocks that are no node's.

use std::{collections::BTreeSet, net::IpAddr};

use kube::ResourceExt as _;

use super::{Error, Registry, Wish};
use crate::{
    hash::fnv1a,
    ipam::Block,
    kube::{
        pools::{View, Wanted},
        request::{self, Failed, TRIES, ask},
        types::{FIXED_LABEL, FixedIP, IPBlock, POOL_LABEL, label_value},
    },
};

/// What an owner is called in blocks.
fn entry(object: &FixedIP) -> String {
    format!("{}/{}", object.owner(), object.uid().unwrap_or_default())
}

/// The owner of an entry, without its UID.
fn owner(entry: &str) -> &str {
    entry.rsplit_once('/').map_or(entry, |(owner, _)| owner)
}

/// A block's entry for an address.
fn find(block: &IPBlock, address: IpAddr) -> Option<&str> {
    let fixed = block.spec.fixed.as_ref()?;
    fixed.get(&address.to_string()).map(String::as_str)
}

impl Registry {
    /// Makes an address the object's.
    pub(super) async fn record(
        &self,
        object: &FixedIP,
        address: IpAddr,
        view: &View,
    ) -> Result<(), Error> {
        let of = |wanted: &Wanted| wanted.pool.blocks.of(address);
        let found = view.pools.iter().find_map(|(name, wanted)| Some((name, of(wanted)?)));
        let (pool, block) = found.ok_or(Error::NoPool(address))?;
        let entry = entry(object);
        for _ in 0..TRIES {
            let known =
                ask(|| format!("read block {}", block.name), self.blocks.get_opt(&block.name));
            let Some(known) = known.await? else {
                self.check_free(address, &block).await?;
                if self.open(pool, &block, address, &entry).await? {
                    return Ok(());
                }
                continue;
            };
            if let Some(node) = known.spec.node.clone() {
                let (pool, range, block) = (pool.clone(), block.range, block.name);
                return Err(Error::OfNode { address, block, node, pool, range });
            }
            match find(&known, address).map(str::to_owned) {
                Some(other) if other == entry => return Ok(()),
                // An object of another UID of this name is gone.
                Some(other) if owner(&other) != owner(&entry) => {
                    return Err(Error::Taken { address, owner: owner(&other).to_owned() });
                }
                _ if self.write(known, address, &entry).await? => return Ok(()),
                _ => {}
            }
        }
        Err(Failed::Contended(format!("block {}", block.name)).into())
    }

    /// Chooses an address of each family that the pools have, and makes them the object's. What a try
    /// that was cut short had chosen is chosen again.
    pub(super) async fn choose(
        &self,
        object: &FixedIP,
        wish: &Wish<'_>,
        view: &View,
    ) -> Result<Vec<IpAddr>, Error> {
        let own = object.spec.pool.as_ref().map(std::slice::from_ref);
        let names = own.unwrap_or(wish.pools);
        let pools: Vec<_> =
            names.iter().filter_map(|name| view.pools.get_key_value(name)).collect();
        let mut chosen = Vec::new();
        for is_v4 in [true, false] {
            let of_family = |it: &&(_, &Wanted)| it.1.pool.spec.subnet.addr().is_ipv4() == is_v4;
            let mut address = None;
            let mut full = None;
            for (name, wanted) in pools.iter().filter(of_family) {
                address = self.choose_of(object, name, wanted).await?;
                if address.is_some() {
                    break;
                }
                full = full.or_else(|| Some((*name).clone()));
            }
            match (address, full) {
                (Some(address), _) => chosen.push(address),
                (None, Some(pool)) => return Err(Error::Full(pool)),
                (None, None) => {}
            }
        }
        if chosen.is_empty() { Err(Error::NoPools) } else { Ok(chosen) }
    }

    async fn choose_of(
        &self,
        object: &FixedIP,
        pool: &str,
        wanted: &Wanted,
    ) -> Result<Option<IpAddr>, Error> {
        let entry = entry(object);
        // So that nodes that look at the same time do not all change the same block.
        let start = fnv1a(entry.as_bytes());
        for _ in 0..TRIES {
            let mut blocks = self.fixed_blocks(Some(pool)).await?;
            for block in &blocks {
                let mut own =
                    block.spec.fixed.iter().flatten().filter(|(_, other)| **other == entry);
                if let Some(address) = own.find_map(|(address, _)| address.parse().ok()) {
                    return Ok(Some(address));
                }
            }
            let count = blocks.len().max(1);
            blocks.rotate_left(usize::try_from(start).unwrap_or_default() % count);
            let free = |block: &IPBlock| {
                let taken = |address| find(block, address).is_some();
                wanted.pool.blocks.free_of(block.range().ok()?, taken)
            };
            let room = blocks.into_iter().find_map(|block| Some((free(&block)?, block)));
            if let Some((address, block)) = room {
                if self.write(block, address, &entry).await? {
                    return Ok(Some(address));
                }
                continue;
            }
            let all = request::list(&self.blocks, "", "blocks").await?;
            let taken = all.iter().filter_map(|block| block.range().ok());
            let Some(block) = wanted.pool.blocks.pick_beside(start, taken) else { return Ok(None) };
            let Some(address) = wanted.pool.blocks.free_of(block.range, |_| false) else {
                return Ok(None);
            };
            if self.open(pool, &block, address, &entry).await? {
                return Ok(Some(address));
            }
        }
        Err(Failed::Contended(format!("IPPool {pool}")).into())
    }

    /// Takes all addresses from an object that is nobody's and leaves.
    pub(super) async fn erase(&self, object: &FixedIP) -> Result<(), Failed> {
        let entry = entry(object);
        for _ in 0..TRIES {
            let mut is_done = true;
            for block in self.fixed_blocks(None).await? {
                is_done &= self.strike(block, |other| other == entry).await?;
            }
            if is_done {
                return Ok(());
            }
        }
        Err(Failed::Contended("the blocks of fixed addresses".to_owned()))
    }

    /// Takes all addresses from objects that are gone, which somebody has deleted by force. `live` are
    /// the UIDs of those that are known.
    pub(super) async fn strike_strays(&self, live: &BTreeSet<String>) -> Result<(), Failed> {
        let uid = |entry: &str| entry.rsplit_once('/').map(|(_, uid)| uid.to_owned());
        for block in self.fixed_blocks(None).await? {
            let mut gone = BTreeSet::new();
            for entry in block.spec.fixed.iter().flatten().map(|(_, entry)| entry) {
                let Some(uid) = uid(entry).filter(|uid| !live.contains(uid)) else { continue };
                // What is known may be older than the object.
                if !self.exists(owner(entry), &uid).await? {
                    gone.insert(entry.clone());
                }
            }
            if !gone.is_empty() {
                tracing::warn!(?gone, "addresses of FixedIPs that are gone go back to their pools");
                self.strike(block, |entry| gone.contains(entry)).await?;
            }
        }
        Ok(())
    }

    /// The blocks of fixed addresses, of a pool or of all.
    async fn fixed_blocks(&self, pool: Option<&str>) -> Result<Vec<IPBlock>, Failed> {
        let of_pool = pool.map(|pool| format!(",{POOL_LABEL}={}", label_value(pool)));
        let labels = format!("{FIXED_LABEL}=true{}", of_pool.unwrap_or_default());
        let mut blocks = request::list(&self.blocks, &labels, "blocks of fixed addresses").await?;
        blocks.retain(|block| pool.is_none_or(|pool| block.spec.pool == pool));
        Ok(blocks)
    }

    /// Takes a block for fixed addresses, with its first one. Returns whether it was nobody's.
    async fn open(
        &self,
        pool: &str,
        block: &Block,
        address: IpAddr,
        entry: &str,
    ) -> Result<bool, Failed> {
        let block = IPBlock::of_fixed(pool, block, address, entry);
        Ok(request::create(&self.blocks, &block, "block").await?.is_some())
    }

    /// Whether no block of another cut has the address.
    async fn check_free(&self, address: IpAddr, block: &Block) -> Result<(), Error> {
        let all = request::list(&self.blocks, "", "blocks").await?;
        let meets = |other: &&IPBlock| other.range().is_ok_and(|range| range.meets(block.range));
        match all.iter().find(meets) {
            Some(other) if other.name_any() != block.name => {
                Err(Error::Overlap { address, block: other.name_any() })
            }
            _ => Ok(()),
        }
    }

    /// Writes an entry. Returns whether nobody had come before.
    async fn write(
        &self,
        mut block: IPBlock,
        address: IpAddr,
        entry: &str,
    ) -> Result<bool, Failed> {
        let fixed = block.spec.fixed.get_or_insert_default();
        fixed.insert(address.to_string(), entry.to_owned());
        Ok(request::replace(&self.blocks, &block, "block").await?.is_some())
    }

    /// Takes entries out, and gives the block back with its last one. Returns whether nobody had come
    /// before.
    async fn strike(
        &self,
        mut block: IPBlock,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<bool, Failed> {
        let Some(fixed) = &mut block.spec.fixed else { return Ok(true) };
        let before = fixed.len();
        fixed.retain(|_, entry| !is_gone(entry));
        if fixed.len() == before {
            return Ok(true);
        }
        if fixed.is_empty() {
            return request::delete(&self.blocks, &block, "block").await;
        }
        Ok(request::replace(&self.blocks, &block, "block").await?.is_some())
    }
}
