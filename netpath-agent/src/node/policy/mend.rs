//! Making the host stack's rules and routes what they should be, as a whole and for one endpoint.

use std::collections::BTreeSet;

use super::{Policy, proxies_of, routes_of, rules_of};
use crate::{
    endpoint::Record,
    error::chain,
    netlink::{Netlink, Proxy, Rule, TableRoute, Way},
    node::{Error, Node},
    pod::Mismatch,
};

impl Node {
    /// Adds the rules and routes that an endpoint needs, before it can send.
    pub(in crate::node) async fn show_way(&mut self, record: &Record) -> Result<(), Error> {
        self.masquerade_endpoint(record, true);
        for route in routes_of(&self.config, &self.state, record) {
            self.netlink.add_table_route(&route).await?;
        }
        for rule in rules_of(&self.config, record) {
            self.netlink.add_rule(&rule).await?;
        }
        for proxy in proxies_of(&self.state, record) {
            self.netlink.add_proxy(&proxy).await?;
        }
        Ok(())
    }

    /// Removes the rules and routes that only this endpoint needed. A device of its own takes its
    /// routes with it.
    pub(in crate::node) async fn forget_way(&mut self, record: &Record) -> Result<(), Error> {
        self.masquerade_endpoint(record, false);
        let own = rules_of(&self.config, record).into_iter().filter(|rule| rule.source.is_some());
        for rule in own {
            self.netlink.delete_rule(&rule).await?;
        }
        for route in routes_of(&self.config, &self.state, record) {
            self.netlink.delete_table_route(&route).await?;
        }
        for proxy in proxies_of(&self.state, record) {
            self.netlink.delete_proxy(&proxy).await?;
        }
        Ok(())
    }

    /// The rules and routes of an endpoint that are missing.
    pub(in crate::node) async fn check_way(&self, record: &Record) -> Result<Vec<Mismatch>, Error> {
        let routes = routes_of(&self.config, &self.state, record);
        let rules = rules_of(&self.config, record);
        if routes.is_empty() && rules.is_empty() {
            return Ok(Vec::new());
        }
        let missing = |what: String| Mismatch {
            what,
            expected: "on the node".to_owned(),
            found: "missing".to_owned(),
        };
        let there = self.netlink.table_routes().await?;
        let routes = routes
            .iter()
            .filter(|route| !there.contains(route))
            .map(|route| missing(format!("route {} in table {}", route.destination, route.table)));
        let mut list: Vec<_> = routes.collect();
        let there = self.netlink.rules().await?;
        list.extend(
            rules
                .iter()
                .filter(|rule| !there.contains(rule))
                .map(|rule| missing(format!("rule {} to table {}", rule.priority, rule.table))),
        );
        Ok(list)
    }

    /// Makes the host stack's rules and routes what they should be, and counts what was not. Routes
    /// by devices that nobody knows yet are an endpoint's on its way in. What the kernel refuses
    /// keeps nothing else from being put right.
    pub(in crate::node) async fn mend_policy(&mut self) -> Result<(), Error> {
        let Policy { rules, routes, proxies } = Policy::of(&self.config, &self.state);
        let found: BTreeSet<Rule> = self.netlink.rules().await?.into_iter().collect();
        let there: BTreeSet<TableRoute> = self.netlink.table_routes().await?.into_iter().collect();
        let listening: BTreeSet<Proxy> = self.netlink.proxies().await?.into_iter().collect();
        let mut results = Vec::new();
        // Routes before the rules that lead to them, and the other way round.
        for route in routes.difference(&there) {
            results.push(self.netlink.add_table_route(route).await);
        }
        for rule in rules.difference(&found) {
            results.push(self.netlink.add_rule(rule).await);
        }
        for rule in found.difference(&rules) {
            results.push(self.netlink.delete_rule(rule).await);
        }
        let places: BTreeSet<_> = routes.iter().map(TableRoute::place).collect();
        let is_stray = |route: &&TableRoute| {
            // An addition has replaced it.
            self.is_known(&route.way) && !places.contains(&route.place())
        };
        for route in there.difference(&routes).filter(is_stray) {
            results.push(self.netlink.delete_table_route(route).await);
        }
        for proxy in proxies.difference(&listening) {
            results.push(self.netlink.add_proxy(proxy).await);
        }
        for proxy in listening.difference(&proxies) {
            results.push(self.netlink.delete_proxy(proxy).await);
        }
        let all = results.len();
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        let changed = all - refused.len();
        if changed > 0 {
            tracing::info!(changed, "the host stack's rules and routes were brought up to date");
        }
        for error in refused {
            tracing::warn!(error = chain(&error), "the host stack differs; will try again");
        }
        self.mend_masquerade();
        Ok(())
    }

    /// Whether a route leads by a device that is a parent or an endpoint's, if by any.
    fn is_known(&self, way: &Way) -> bool {
        let Way::Device { index, .. } = way else { return true };
        let mut parents = self.state.parents.values();
        self.state.devices.values().any(|device| device == index)
            || parents.any(|parent| parent.link.index == *index)
    }
}

/// Removes all rules, routes and proxy neighbours of ours.
pub(in crate::node) async fn remove(netlink: &Netlink) -> Result<usize, Error> {
    let (rules, routes) = (netlink.rules().await?, netlink.table_routes().await?);
    let proxies = netlink.proxies().await?;
    for rule in &rules {
        netlink.delete_rule(rule).await?;
    }
    for route in &routes {
        netlink.delete_table_route(route).await?;
    }
    for proxy in &proxies {
        netlink.delete_proxy(proxy).await?;
    }
    Ok(rules.len() + routes.len() + proxies.len())
}
