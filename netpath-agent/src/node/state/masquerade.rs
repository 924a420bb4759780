//! What the `routes` map should hold of a masqueraded table: what its endpoints would be led to without,
//! but what is for the router is the kernel's where it is outside the VPC.
//!
//! The programs ask the main table where an endpoint's own has no answer; and a way out that nobody wrote
//! down, the wire, is no route at all. So the map has more than the table: a route for each family, the
//! VPC's prefixes, and the main table's routes as far as the table has none around them.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpath_common::Path;

use super::State;
use crate::{
    masquerade::MasqueradeSpec,
    route::{RouteSpec, Table},
};

impl State {
    /// How a table is masqueraded, if it is.
    pub(super) fn masquerade(&self, table: Table) -> Option<&MasqueradeSpec> {
        self.masquerades.iter().find(|spec| spec.table == table)
    }

    /// The route that the map should have for a prefix of a masqueraded table.
    pub(super) fn masqueraded(&self, spec: &MasqueradeSpec, prefix: IpNet) -> Option<RouteSpec> {
        if !spec.has_family(prefix.addr().is_ipv6()) {
            return self.own_route(spec.table, prefix);
        }
        let own = around(prefix).find_map(|prefix| self.own_route(spec.table, prefix));
        let around = own.or_else(|| around(prefix).find_map(|prefix| self.main_route(prefix)));
        answer(spec, prefix, around.as_ref())
    }

    /// All routes that the map should have for a masqueraded table. Those around a prefix come before it:
    /// nothing is searched for.
    pub(super) fn all_masqueraded(&self, spec: &MasqueradeSpec) -> Vec<RouteSpec> {
        let mut outer: Vec<(IpNet, Option<RouteSpec>, Option<RouteSpec>)> = Vec::new();
        let mut routes = Vec::new();
        for (table, prefix) in self.masqueraded_places(spec) {
            let own = self.own_route(table, prefix);
            if !spec.has_family(prefix.addr().is_ipv6()) {
                routes.extend(own);
                continue;
            }
            while outer.pop_if(|(outer, ..)| !outer.contains(&prefix)).is_some() {}
            let (outer_own, outer_main) = match outer.last() {
                Some((_, own, main)) => (own.clone(), main.clone()),
                None => (None, None),
            };
            let own = own.or(outer_own);
            let main = self.main_route(prefix).or(outer_main);
            routes.extend(answer(spec, prefix, own.as_ref().or(main.as_ref())));
            outer.push((prefix, own, main));
        }
        routes
    }

    /// Where a masqueraded table may have something in the map.
    pub(super) fn masqueraded_places(&self, spec: &MasqueradeSpec) -> BTreeSet<(Table, IpNet)> {
        let main = self.main_places().filter(|prefix| spec.has_family(prefix.addr().is_ipv6()));
        let own = self.of_table(spec.table).map(|route| route.prefix);
        main.chain(own).chain(edges(spec)).map(|prefix| (spec.table, prefix)).collect()
    }

    fn own_route(&self, table: Table, prefix: IpNet) -> Option<RouteSpec> {
        self.route(table, prefix).map(|entry| entry.spec.clone())
    }
}

/// What the map has for a prefix, by the longest route that holds it: nothing where the answer is that of
/// the prefix around it.
fn answer(spec: &MasqueradeSpec, prefix: IpNet, around: Option<&RouteSpec>) -> Option<RouteSpec> {
    let is_route = around.is_some_and(|route| route.prefix == prefix);
    if !is_route && !edges(spec).any(|edge| edge == prefix) {
        return None;
    }
    let (path, via) =
        around.map_or((Path::Router, &[][..]), |route| (route.path, route.via.as_slice()));
    let stays = path != Path::Router || spec.holds(prefix);
    let (path, via) = if stays { (path, via) } else { (Path::Kernel, &[][..]) };
    Some(RouteSpec { table: spec.table, prefix, path, via: via.to_vec() })
}

/// Where the answer changes whatever the tables have: everything of a family, and the VPC's prefixes.
fn edges(spec: &MasqueradeSpec) -> impl Iterator<Item = IpNet> {
    let all = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
    let families = all.into_iter().filter(|all| spec.has_family(all.addr().is_ipv6()));
    families.chain(spec.inside())
}

/// A prefix and those around it, the longest first.
fn around(prefix: IpNet) -> impl Iterator<Item = IpNet> {
    std::iter::successors(Some(prefix), IpNet::supernet)
}

#[cfg(test)]
mod tests;
