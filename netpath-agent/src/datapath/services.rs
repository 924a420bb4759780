//! The tables of Services: `services`, `service_slots`, `backends` and `service_sources`.

mod book;
mod places;
mod runs;

use std::net::IpAddr;

use aya::maps::LpmTrie;
use ipnet::IpNet;
use netpath_common::{Address, BackendId, RouteKey, ServiceKey, route};

pub(super) use self::book::{Book, KEPT_SLOTS, SPARE};
use super::{
    Datapath, Error,
    namespaces::absent,
    routes::{from_trie, to_trie},
};
use crate::{
    error::chain,
    service::{BackendKey, Entry},
};

const SOURCES: &str = "service_sources";

impl Datapath {
    /// Writes what a Service's address, port and protocol lead to. Programs see all of it or what was
    /// there before. What is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] names the map; what was there before stays.
    pub fn put_service(&mut self, key: ServiceKey, entry: &Entry) -> Result<(), Error> {
        self.services.put(key, entry)
    }

    /// Removes a Service's address, port and protocol. What is not there is no error.
    pub fn remove_service(&mut self, key: &ServiceKey) -> Result<(), Error> {
        self.services.remove(key)
    }

    /// What programs find of a Service's address, port and protocol.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<Entry> {
        self.services.get(key)
    }

    /// Shows all that programs find, whoever wrote it.
    pub fn each_service(&self, show: impl FnMut(ServiceKey, Entry)) -> Result<(), Error> {
        self.services.each(show)
    }

    /// To be called after changes: backends that no Service lists any more are gone from now on.
    /// Returns them, and at first those that a predecessor did not come to.
    pub fn settle_services(&mut self) -> Vec<(BackendId, BackendKey)> {
        let left = self.services.take_left();
        if !left.is_empty()
            && let Err(error) = self.forget_affinities(&left.into_iter().collect())
        {
            tracing::warn!(
                error = chain(&error),
                "clients may stay with backends that left a Service"
            );
        }
        self.services.settle()
    }

    /// Admits a prefix on the wire to the Services of a number.
    pub fn put_source(&mut self, id: u32, prefix: &IpNet) -> Result<(), Error> {
        let full = Error::insert(SOURCES, self.capacity.services);
        let key = source(id, prefix);
        self.service_sources.insert(&to_trie(&key), key.prefix_len, 0).map_err(full)
    }

    /// Whether an address on the wire is admitted to the Services of a number.
    pub(super) fn admits(&self, id: u32, address: Address) -> bool {
        let found = self.service_sources.get(&to_trie(&RouteKey::lookup(id, address)), 0);
        found.is_ok_and(|length| route::is_for(length, &address))
    }

    /// Does so no more. What is not there is no error.
    pub fn remove_source(&mut self, id: u32, prefix: &IpNet) -> Result<(), Error> {
        let key = to_trie(&source(id, prefix));
        absent(self.service_sources.remove(&key)).map_err(Error::map(SOURCES))
    }

    /// Shows all prefixes that are admitted, with the numbers of the Services.
    pub fn each_source(&self, mut show: impl FnMut(u32, IpNet)) -> Result<(), Error> {
        for key in LpmTrie::keys(&self.service_sources) {
            let key = from_trie(&key.map_err(Error::map(SOURCES))?);
            // No other length is ever written.
            if let Ok(prefix) = IpNet::new(IpAddr::from(key.address), key.length()) {
                show(key.table, prefix);
            }
        }
        Ok(())
    }
}

/// The key of a prefix: the number of the Service is in the place of a table's.
fn source(id: u32, prefix: &IpNet) -> RouteKey {
    RouteKey::prefix(id, Address::from(prefix.network()), prefix.prefix_len())
}
