//! The `routes` trie.

use aya::maps::{MapError, lpm_trie::Key};
use netpath_common::{Address, Route, RouteKey, route::RouteData};

use super::{Datapath, Error, namespaces::absent};

const MAP: &str = "routes";

impl Datapath {
    /// Writes the route of a prefix, in one step if there is one already.
    pub fn put_route(&mut self, key: &RouteKey, route: &Route) -> Result<(), Error> {
        let full = Error::insert(MAP, self.capacity.routes);
        self.routes.insert(&to_trie(key), route, 0).map_err(full)
    }

    /// Removes the route of a prefix. One that is not there is no error.
    pub fn remove_route(&mut self, key: &RouteKey) -> Result<(), Error> {
        absent(self.routes.remove(&to_trie(key))).map_err(Error::map(MAP))
    }

    /// The route of a prefix, or of the longest one around it: a route knows its prefix's length.
    pub fn route(&self, key: &RouteKey) -> Result<Option<Route>, Error> {
        match self.routes.get(&to_trie(key), 0) {
            Ok(route) => Ok(Some(route)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(Error::map(MAP)(error)),
        }
    }

    /// All routes.
    pub fn routes(&self) -> Result<impl Iterator<Item = (RouteKey, Route)>, Error> {
        let entries: Vec<_> = self
            .routes
            .iter()
            .map(|entry| entry.map(|(key, route)| (from_trie(&key), route)))
            .collect::<Result<_, _>>()
            .map_err(Error::map(MAP))?;
        Ok(entries.into_iter())
    }
}

/// The same key as aya knows it.
pub(super) fn to_trie(key: &RouteKey) -> Key<RouteData> {
    let RouteKey { prefix_len, table, address } = *key;
    Key::new(prefix_len, RouteData { table, address: address.octets })
}

/// The same key as the agent knows it.
pub(super) fn from_trie(key: &Key<RouteData>) -> RouteKey {
    let RouteData { table, address } = key.data();
    RouteKey { prefix_len: key.prefix_len(), table, address: Address::v6(address) }
}
