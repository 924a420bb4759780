//! What the `routes` map should hold: every route where it stands, the ways to endpoints with a NIC of
//! their own, and what rules by destination lead to.
//!
//! `to P lookup N` asks table N before the main one, for destinations in P only. The programs know
//! nothing of rules: the part of N that is in P stands in the main table, over what the main table
//! itself has there. Endpoints come before rules, as they do in the kernel.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netpath_common::{Route, RouteKey};

use super::{State, alone};
use crate::route::{self, RouteSpec, Table};

impl State {
    /// What the map should hold for a prefix of a table.
    #[must_use]
    pub fn map_route(&self, table: Table, prefix: IpNet) -> Option<(RouteKey, Route)> {
        let own = || self.route(table, prefix).map(|entry| entry.spec.entry());
        if table != Table::MAIN {
            return own();
        }
        if let Some(way) = self.way(prefix) {
            return Some(way);
        }
        let Some((to, other)) = self.leads().find(|(to, _)| to.contains(&prefix)) else {
            return own();
        };
        let around = self.of_table(other).filter(|route| route.prefix.contains(&prefix));
        match around.max_by_key(|route| route.prefix.prefix_len()) {
            None => own(),
            Some(route) if route.prefix == prefix || to == prefix => {
                Some(RouteSpec { table, prefix, ..route.clone() }.entry())
            }
            Some(_hides) => None,
        }
    }

    /// All that the map should hold.
    pub fn map_routes(&self) -> impl Iterator<Item = (RouteKey, Route)> {
        let led: BTreeSet<_> = self
            .leads()
            .flat_map(|(to, other)| {
                self.of_table(other).filter_map(move |route| part(to, route.prefix))
            })
            .map(|prefix| (Table::MAIN, prefix))
            .filter(|place| !self.routes.contains_key(place) && self.way(place.1).is_none())
            .collect();
        let places = self.routes.keys().copied().chain(led);
        let routes = places.filter_map(|(table, prefix)| self.map_route(table, prefix));
        self.ways().chain(routes)
    }

    /// The way to an endpoint with a NIC of its own, by its address.
    fn way(&self, prefix: IpNet) -> Option<(RouteKey, Route)> {
        let record = self.holder(alone(prefix)?)?;
        let key = route::key(Table::MAIN, prefix);
        self.ways_to(record).find(|(way, _)| *way == key)
    }

    /// The prefixes of the map that a route concerns: its own, and where rules lead to its table.
    #[must_use]
    pub fn concerned(&self, table: Table, prefix: IpNet) -> BTreeSet<(Table, IpNet)> {
        let mut places = BTreeSet::from([(table, prefix)]);
        for (to, _) in self.leads().filter(|(_, other)| *other == table) {
            let Some(part) = part(to, prefix) else { continue };
            let inside = self.of_table(Table::MAIN).map(|route| route.prefix);
            let inside = inside.filter(|inside| part.contains(inside)).chain([part]);
            places.extend(inside.map(|prefix| (Table::MAIN, prefix)));
        }
        places
    }

    /// The rules by destination.
    fn leads(&self) -> impl Iterator<Item = (IpNet, Table)> {
        self.rules.iter().filter_map(|rule| Some((rule.to?, rule.table)))
    }

    fn of_table(&self, table: Table) -> impl Iterator<Item = &RouteSpec> {
        let routes = self.routes.values().map(|entry| &entry.spec);
        routes.filter(move |route| route.table == table)
    }
}

/// What two prefixes have in common: the longer one, or nothing.
fn part(a: IpNet, b: IpNet) -> Option<IpNet> {
    if a.contains(&b) { Some(b) } else { b.contains(&a).then_some(a) }
}
