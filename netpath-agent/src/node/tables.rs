//! The kernel's tables as plain values, and what separates two of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use netpath_common::{Address, Endpoint, Route, RouteKey};

/// What the maps hold, or should hold: one immutable snapshot.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The `endpoints` map.
    pub endpoints: HashMap<Address, Endpoint>,
    /// The `namespaces` map.
    pub namespaces: BTreeSet<u32>,
    /// The `routes` map.
    pub routes: Routes,
}

/// Routes by table, address and length.
#[derive(Clone, Debug, Default)]
pub struct Routes(BTreeMap<(u32, Address, u32), Route>);

impl Routes {
    /// The route with exactly this key.
    #[must_use]
    pub fn get(&self, key: &RouteKey) -> Option<&Route> {
        self.0.get(&(key.table, key.address, key.prefix_len))
    }

    /// All routes.
    pub fn iter(&self) -> impl Iterator<Item = (RouteKey, Route)> {
        self.0.iter().map(|(&(table, address, prefix_len), route)| {
            (RouteKey { prefix_len, table, address }, *route)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(RouteKey, Route)> for Routes {
    fn from_iter<I: IntoIterator<Item = (RouteKey, Route)>>(routes: I) -> Self {
        let entry =
            |(key, route): (RouteKey, Route)| ((key.table, key.address, key.prefix_len), route);
        Self(routes.into_iter().map(entry).collect())
    }
}

/// What turns one `Tables` into another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Endpoints that are missing or different.
    pub put_endpoints: Vec<(Address, Endpoint)>,
    /// Endpoints that should not be there.
    pub remove_endpoints: Vec<Address>,
    /// Namespaces that are missing.
    pub put_namespaces: Vec<u32>,
    /// Namespaces that should not be there.
    pub remove_namespaces: Vec<u32>,
    /// Routes that are missing or different.
    pub put_routes: Vec<(RouteKey, Route)>,
    /// Routes that should not be there.
    pub remove_routes: Vec<RouteKey>,
}

impl Changes {
    /// What turns `actual` into `desired`.
    #[must_use]
    pub fn between(actual: &Tables, desired: &Tables) -> Self {
        Self {
            put_endpoints: desired
                .endpoints
                .iter()
                .filter(|(address, endpoint)| actual.endpoints.get(*address) != Some(*endpoint))
                .map(|(address, endpoint)| (*address, *endpoint))
                .collect(),
            remove_endpoints: actual
                .endpoints
                .keys()
                .filter(|address| !desired.endpoints.contains_key(*address))
                .copied()
                .collect(),
            put_namespaces: desired.namespaces.difference(&actual.namespaces).copied().collect(),
            remove_namespaces: actual.namespaces.difference(&desired.namespaces).copied().collect(),
            put_routes: desired
                .routes
                .iter()
                .filter(|(key, route)| actual.routes.get(key) != Some(route))
                .collect(),
            remove_routes: actual
                .routes
                .iter()
                .filter(|(key, _)| desired.routes.get(key).is_none())
                .map(|(key, _)| key)
                .collect(),
        }
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let Self {
            put_endpoints,
            remove_endpoints,
            put_namespaces,
            remove_namespaces,
            put_routes,
            remove_routes,
        } = self;
        put_endpoints.len()
            + remove_endpoints.len()
            + put_namespaces.len()
            + remove_namespaces.len()
            + put_routes.len()
            + remove_routes.len()
    }

    /// Whether both were the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netpath_common::Path;

    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().expect("address").into()
    }

    fn tables(endpoints: &[(&str, u32)], routes: &[(&str, u8, Path)]) -> Tables {
        Tables {
            endpoints: endpoints
                .iter()
                .map(|(text, slot)| {
                    (address(text), Endpoint { slot: *slot, ..Endpoint::default() })
                })
                .collect(),
            namespaces: endpoints.iter().map(|(_, slot)| *slot).collect(),
            routes: routes
                .iter()
                .map(|(text, length, path)| {
                    let key = RouteKey::prefix(254, address(text), *length);
                    (key, Route::new(&key, *path))
                })
                .collect(),
        }
    }

    #[test]
    fn equal_tables_need_no_change() {
        let tables = tables(&[("10.0.0.1", 1)], &[("10.0.0.0", 8, Path::Kernel)]);
        assert!(Changes::between(&tables, &tables.clone()).is_empty());
    }

    #[test]
    fn missing_wrong_and_superfluous_entries_are_told_apart() {
        let actual = tables(
            &[("10.0.0.1", 1), ("10.0.0.2", 2), ("fd00::3", 3)],
            &[("10.0.0.0", 8, Path::Kernel), ("10.0.0.0", 9, Path::Drop)],
        );
        let desired = tables(
            &[("10.0.0.1", 1), ("10.0.0.2", 7), ("fd00::4", 4)],
            &[("10.0.0.0", 8, Path::Drop), ("fd00::", 64, Path::Drop)],
        );
        let mut changes = Changes::between(&actual, &desired);
        changes.put_endpoints.sort_by_key(|(_, endpoint)| endpoint.slot);
        let slots: Vec<_> = changes.put_endpoints.iter().map(|(_, e)| e.slot).collect();
        assert_eq!(slots, [4, 7]);
        assert_eq!(changes.remove_endpoints, [address("fd00::3")]);
        assert_eq!(changes.put_routes.len(), 2);
        assert_eq!(changes.remove_routes, [RouteKey::prefix(254, address("10.0.0.0"), 9)]);
        assert_eq!(changes.len(), 10);
        assert_eq!((changes.put_namespaces, changes.remove_namespaces), (vec![4, 7], vec![2, 3]));
    }

    #[test]
    fn from_and_to_nothing() {
        let full = tables(&[("10.0.0.1", 1)], &[("::", 0, Path::Router)]);
        let filling = Changes::between(&Tables::default(), &full);
        assert_eq!((filling.put_endpoints.len(), filling.put_routes.len()), (1, 1));
        let empty = Changes::between(&full, &Tables::default());
        assert_eq!((empty.remove_endpoints.len(), empty.remove_routes.len()), (1, 1));
    }
}
