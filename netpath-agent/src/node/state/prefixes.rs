//! What the `routes` map should hold: every route where it stands, the ways to endpoints with a NIC of
//! their own, and what rules by destination lead to. Of masqueraded tables see `masquerade`.
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
        match self.masquerade(table) {
            Some(spec) => self.masqueraded(spec, prefix),
            None if table == Table::MAIN => match self.way(prefix) {
                Some(way) => return Some(way),
                None => self.main_route(prefix),
            },
            None => self.route(table, prefix).map(|entry| entry.spec.clone()),
        }
        .map(|route| route.entry())
    }

    /// What rules and the main table's own routes have the map hold for a prefix of it.
    pub(super) fn main_route(&self, prefix: IpNet) -> Option<RouteSpec> {
        let table = Table::MAIN;
        let own = || self.route(table, prefix).map(|entry| entry.spec.clone());
        let Some((to, other)) = self.leads().find(|(to, _)| to.contains(&prefix)) else {
            return own();
        };
        let around = self.of_table(other).filter(|route| route.prefix.contains(&prefix));
        match around.max_by_key(|route| route.prefix.prefix_len()) {
            None => own(),
            Some(route) if route.prefix == prefix || to == prefix => {
                Some(RouteSpec { table, prefix, ..route.clone() })
            }
            Some(_hides) => None,
        }
    }

    /// Where the main table may have something in the map, but for ways to endpoints.
    pub(super) fn main_places(&self) -> impl Iterator<Item = IpNet> {
        self.of_table(Table::MAIN).map(|route| route.prefix).chain(self.led())
    }

    /// Where rules by destination lead to a route.
    fn led(&self) -> impl Iterator<Item = IpNet> {
        self.leads().flat_map(|(to, other)| {
            self.of_table(other).filter_map(move |route| part(to, route.prefix))
        })
    }

    /// All that the map should hold.
    pub fn map_routes(&self) -> impl Iterator<Item = (RouteKey, Route)> {
        let led = self.led().filter(|prefix| self.way(*prefix).is_none());
        let led = led.map(|prefix| (Table::MAIN, prefix));
        let led: BTreeSet<_> = led.filter(|place| !self.routes.contains_key(place)).collect();
        let places = self.routes.keys().copied().chain(led);
        let places = places.filter(|place| self.masquerade(place.0).is_none());
        let routes = places.filter_map(|(table, prefix)| self.map_route(table, prefix));
        let masqueraded = self.masquerades.iter().flat_map(|spec| self.all_masqueraded(spec));
        self.ways().chain(routes).chain(masqueraded.map(|route| route.entry()))
    }

    /// The way to an endpoint with a NIC of its own, by its address.
    fn way(&self, prefix: IpNet) -> Option<(RouteKey, Route)> {
        let record = self.holder(alone(prefix)?)?;
        let key = route::key(Table::MAIN, prefix);
        self.ways_to(record).find(|(way, _)| *way == key)
    }

    /// The prefixes of the map that a route concerns: its own, where rules lead to its table, and what
    /// follows from those in masqueraded tables.
    #[must_use]
    pub fn concerned(&self, table: Table, prefix: IpNet) -> BTreeSet<(Table, IpNet)> {
        let mut places = BTreeSet::from([(table, prefix)]);
        for (to, _) in self.leads().filter(|(_, other)| *other == table) {
            let Some(part) = part(to, prefix) else { continue };
            let inside = self.of_table(Table::MAIN).map(|route| route.prefix);
            let inside = inside.filter(|inside| part.contains(inside)).chain([part]);
            places.extend(inside.map(|prefix| (Table::MAIN, prefix)));
        }
        let mut follow = BTreeSet::new();
        for spec in &self.masquerades {
            let asked = |place: &&(Table, IpNet)| [Table::MAIN, spec.table].contains(&place.0);
            let changed = places.iter().filter(asked).map(|place| place.1);
            let all = self.masqueraded_places(spec);
            for prefix in changed {
                follow.extend(all.iter().filter(|place| prefix.contains(&place.1)));
                follow.insert((spec.table, prefix));
            }
        }
        places.extend(follow);
        places
    }

    /// The rules by destination.
    fn leads(&self) -> impl Iterator<Item = (IpNet, Table)> {
        self.rules.iter().filter_map(|rule| Some((rule.to?, rule.table)))
    }

    pub(super) fn of_table(&self, table: Table) -> impl Iterator<Item = &RouteSpec> {
        let routes = self.routes.values().map(|entry| &entry.spec);
        routes.filter(move |route| route.table == table)
    }
}

/// What two prefixes have in common: the longer one, or nothing.
fn part(a: IpNet, b: IpNet) -> Option<IpNet> {
    if a.contains(&b) { Some(b) } else { b.contains(&a).then_some(a) }
}
