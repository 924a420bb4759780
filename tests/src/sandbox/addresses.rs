//! The table of addresses in the kernel, read and broken behind the agent's back.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use netpath_common::{ABI, Address, Endpoint, EndpointEntry};

/// The maps that it is made of.
pub struct Addresses {
    entries: Array<MapData, EndpointEntry>,
    heads: Array<MapData, u32>,
}

impl Addresses {
    /// Opens the maps of an agent that pins below `pins`.
    pub fn open(pins: &Path) -> Result<Self> {
        let folder = pins.join(format!("v{ABI}"));
        let map = |name| anyhow::Ok(Map::Array(MapData::from_pin(folder.join(name))?));
        Ok(Self {
            entries: map("endpoints")?.try_into()?,
            heads: map("endpoint_heads")?.try_into()?,
        })
    }

    /// All addresses, and what is known of them. What no link leads to is not in the table.
    pub fn all(&self) -> Result<Vec<(Address, Endpoint)>> {
        let mut all = Vec::new();
        for index in 1..self.entries.len() {
            let EndpointEntry { address, endpoint, .. } = self.entries.get(&index, 0)?;
            if self.chain(&address)?.contains(&index) {
                all.push((address, endpoint));
            }
        }
        Ok(all)
    }

    /// Takes the links away that lead to an address, and to those behind it.
    pub fn lose(&mut self, address: &Address) -> Result<()> {
        let chain = self.chain(address)?;
        let mut found = None;
        for (place, index) in chain.iter().enumerate() {
            if self.entries.get(index, 0)?.address == *address {
                found = Some(place);
            }
        }
        match found.with_context(|| format!("{address} is not in the table"))? {
            0 => self.heads.set(head(address), 0, 0)?,
            place => {
                let before = chain[place - 1];
                let entry = self.entries.get(&before, 0)?;
                self.entries.set(before, EndpointEntry { next: 0, ..entry }, 0)?;
            }
        }
        Ok(())
    }

    /// The entries of the chain that an address would be in.
    fn chain(&self, address: &Address) -> Result<Vec<u32>> {
        let mut chain = Vec::new();
        let mut index = self.heads.get(&head(address), 0)?;
        while index != 0 && !chain.contains(&index) {
            chain.push(index);
            index = self.entries.get(&index, 0)?.next;
        }
        Ok(chain)
    }
}

fn head(address: &Address) -> u32 {
    address.digest(EndpointEntry::HEAD_BITS)
}
