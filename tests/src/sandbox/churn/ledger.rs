//! Which pod was told that it has which address.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};

/// Addresses by what the plugin answered, over all callers.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<IpAddr, String>>);

impl Ledger {
    /// A container was told that it has these addresses. One that another container still has is
    /// an error.
    pub fn take(&self, container: &str, addresses: &[IpAddr]) -> Result<()> {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            if let Some(holder) = holders.insert(*address, container.to_owned()) {
                bail!("{address} was given to {container}, and {holder} still has it");
            }
        }
        Ok(())
    }

    /// A container is about to be detached.
    pub fn give_back(&self, addresses: &[IpAddr]) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            holders.remove(address);
        }
    }
}
