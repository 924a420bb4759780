//! Rules and routes of the host stack: what it forwards for endpoints takes the way that the programs
//! would choose.
//!
//! | priority | rule | table |
//! | --- | --- | --- |
//! | 2110 | from all, but what our programs send by a parent | 110: endpoints with a device of their own; all where there are several parents |
//! | 2120 | from an endpoint's address that no subnet of its parent has | the parent's |
//! | 2130 and up | from a subnet of a parent, in the order of the configuration | the parent's |
//!
//! All of them, and the routes in these tables, bear protocol number 110. Where the node itself sends to
//! an endpoint, it does so from its address on the endpoint's parent.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use netpath_common::route::TABLE_MAIN;

use super::{Error, Node, Parent};
use crate::{
    attachment::Attachment,
    config::Config,
    endpoint::Record,
    name::InterfaceName,
    netlink::{Route, Rule, TableRoute},
    node::State,
    pod::Mismatch,
};

/// The table of endpoints that have a device of their own.
pub const ENDPOINTS: u32 = 110;

const PRIORITY_ENDPOINTS: u32 = 2110;
const PRIORITY_ADDRESS: u32 = 2120;
const PRIORITY_SUBNET: u32 = 2130;

/// The table of the second parent; the next one has the next number.
const FIRST_TABLE: u32 = 1001;

/// What there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules.
    pub rules: BTreeSet<Rule>,
    /// The routes of our tables.
    pub routes: Vec<TableRoute>,
}

impl Policy {
    /// What the configuration and the endpoints ask for, as far as parents and devices are there.
    #[must_use]
    pub fn of(config: &Config, state: &State) -> Self {
        let mut policy = Self::default();
        for (place, parent) in (0..).zip(&config.parents) {
            let Some(table) = table(parent, place) else { continue };
            for subnet in &parent.subnets {
                policy.rule(PRIORITY_SUBNET + place, *subnet, table);
            }
            if let Some(parent) = state.parents.get(&parent.name) {
                policy.add_parent(parent, table);
            }
        }
        for record in state.endpoints() {
            policy.rules.extend(rules_of(config, record));
            policy.routes.extend(routes_of(config, state, record));
        }
        policy
    }

    fn add_parent(&mut self, parent: &Parent, table: u32) {
        let index = parent.link.index;
        let mut add = |destination, gateway| {
            let route = Route { destination, gateway, mtu: None, priority: 0 };
            self.routes.push(TableRoute { table, index, route, source: None });
        };
        // A device that is down takes no routes.
        if !parent.link.up {
            return;
        }
        for subnet in &parent.config.subnets {
            add(*subnet, None);
        }
        for router in &parent.config.routers {
            let any = IpNet::new_assert(*router, 0).trunc();
            add(any, Some(*router));
        }
    }

    fn rule(&mut self, priority: u32, source: IpNet, table: u32) {
        let ipv6 = source.addr().is_ipv6();
        let source = Some(source);
        self.rules.insert(Rule { ipv6, priority, source, table, unmarked: false });
    }
}

/// The rules that an endpoint needs: for all that have a device of their own the same, and for each
/// address that the rules by subnet lead elsewhere one of its own.
fn rules_of(config: &Config, record: &Record) -> Vec<Rule> {
    let own = own_table(config, &record.spec.parent);
    let mut rules = Vec::new();
    for address in record.spec.addresses.iter().map(IpNet::addr) {
        let rule = |priority, source, table| {
            let ipv6 = address.is_ipv6();
            // A program that has a parent send leaves the way to endpoints behind it.
            let unmarked = priority == PRIORITY_ENDPOINTS;
            Rule { ipv6, priority, source, table, unmarked }
        };
        if is_routed(config, record) {
            rules.push(rule(PRIORITY_ENDPOINTS, None, ENDPOINTS));
        }
        // What has a NIC of its own comes by the host stack for the node's sake only.
        if record.attachment != Attachment::Exclusive && by_subnet(config, address) != own {
            let table = own.unwrap_or(TABLE_MAIN);
            rules.push(rule(PRIORITY_ADDRESS, Some(IpNet::from(address)), table));
        }
    }
    rules
}

/// Whether the host stack is told the way to an endpoint. A child of the only parent it finds by the
/// subnets of that; of several parents, the source check of the right one must let it in.
fn is_routed(config: &Config, record: &Record) -> bool {
    record.attachment.has_device() || config.parents.len() > 1
}

/// The ways to an endpoint, as far as its parent or its device is there.
fn routes_of(config: &Config, state: &State, record: &Record) -> Vec<TableRoute> {
    let index = if record.attachment.has_device() {
        state.devices.get(&record.spec.name).copied()
    } else {
        let parent = state.parents.get(&record.spec.parent);
        parent.filter(|parent| parent.link.up).map(|parent| parent.link.index)
    };
    let Some(index) = index.filter(|_| is_routed(config, record)) else { return Vec::new() };
    let addresses = record.spec.addresses.iter().map(IpNet::addr);
    let ways = addresses.map(|address| {
        let destination = IpNet::from(address);
        let route = Route { destination, gateway: None, mtu: None, priority: 0 };
        let on = |parent| state.address_on(parent, address.is_ipv6());
        let source = on(&record.spec.parent)
            .or_else(|| config.parents.iter().find_map(|parent| on(&parent.name)));
        TableRoute { table: ENDPOINTS, index, route, source }
    });
    ways.collect()
}

/// The table of the parent in this place, if it has one.
fn table(parent: &crate::config::Parent, place: u32) -> Option<u32> {
    let asked = !parent.subnets.is_empty() || !parent.routers.is_empty();
    let usual = (place > 0).then(|| FIRST_TABLE + place - 1);
    let whole = parent.attachment == Attachment::Exclusive;
    parent.table.or(usual).filter(|_| asked && !whole)
}

fn own_table(config: &Config, parent: &InterfaceName) -> Option<u32> {
    let mut parents = (0..).zip(&config.parents);
    let (place, parent) = parents.find(|(_, other)| other.name == *parent)?;
    table(parent, place)
}

/// The table that the rules by subnet lead an address to.
fn by_subnet(config: &Config, address: IpAddr) -> Option<u32> {
    (0..).zip(&config.parents).find_map(|(place, parent)| {
        let table = table(parent, place)?;
        parent.subnets.iter().any(|subnet| subnet.contains(&address)).then_some(table)
    })
}

impl Node {
    /// Adds the rules and routes that an endpoint needs, before it can send.
    pub(super) async fn show_way(&self, record: &Record) -> Result<(), Error> {
        for route in routes_of(&self.config, &self.state, record) {
            self.netlink.add_table_route(&route).await?;
        }
        for rule in rules_of(&self.config, record) {
            self.netlink.add_rule(&rule).await?;
        }
        Ok(())
    }

    /// Removes the rules and routes that only this endpoint needed. A device of its own takes its
    /// routes with it.
    pub(super) async fn forget_way(&self, record: &Record) -> Result<(), Error> {
        let own = rules_of(&self.config, record).into_iter().filter(|rule| rule.source.is_some());
        for rule in own {
            self.netlink.delete_rule(&rule).await?;
        }
        for route in routes_of(&self.config, &self.state, record) {
            self.netlink.delete_table_route(&route).await?;
        }
        Ok(())
    }

    /// The rules and routes of an endpoint that are missing.
    pub(super) async fn check_way(&self, record: &Record) -> Result<Vec<Mismatch>, Error> {
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
        let there = self.netlink.table_routes(None).await?;
        let routes = routes.iter().filter(|route| !there.contains(route)).map(|route| {
            missing(format!("route {} in table {}", route.route.destination, route.table))
        });
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
    /// by devices that nobody knows yet are an endpoint's on its way in.
    pub(super) async fn mend_policy(&mut self) -> Result<(), Error> {
        let Policy { rules, routes } = Policy::of(&self.config, &self.state);
        let found: BTreeSet<Rule> = self.netlink.rules().await?.into_iter().collect();
        let there = self.netlink.table_routes(None).await?;
        let known = |index: u32| {
            let parents = self.state.parents.values();
            self.state.devices.values().any(|device| *device == index)
                || parents.into_iter().any(|parent| parent.link.index == index)
        };
        let mut changed = 0;
        // Routes before the rules that lead to them, and the other way round.
        for route in routes.iter().filter(|route| !there.contains(route)) {
            self.netlink.add_table_route(route).await?;
            changed += 1;
        }
        for rule in rules.difference(&found) {
            self.netlink.add_rule(rule).await?;
            changed += 1;
        }
        for rule in found.difference(&rules) {
            self.netlink.delete_rule(rule).await?;
            changed += 1;
        }
        let strays = there.iter().filter(|route| !routes.contains(route) && known(route.index));
        for route in strays {
            self.netlink.delete_table_route(route).await?;
            changed += 1;
        }
        if changed > 0 {
            tracing::info!(changed, "the host stack's rules and routes were brought up to date");
        }
        Ok(())
    }
}

/// Removes all rules and routes of ours.
pub(super) async fn remove(netlink: &crate::netlink::Netlink) -> Result<usize, Error> {
    let (rules, routes) = (netlink.rules().await?, netlink.table_routes(None).await?);
    for rule in &rules {
        netlink.delete_rule(rule).await?;
    }
    for route in &routes {
        netlink.delete_table_route(route).await?;
    }
    Ok(rules.len() + routes.len())
}
