//! Rules and routes of the host stack: what it forwards for endpoints takes the way that the programs
//! would choose. And the proxy neighbours by which parents listen for endpoints that do not.
//!
//! | priority | rule | table |
//! | --- | --- | --- |
//! | 2110 | from all, but what our programs send by a parent | 110: endpoints with a device of their own; all where there are several parents |
//! | 2112 | with the mark of a `[[rule]]` | the rule's |
//! | 2115 | from an address of an endpoint that has a table, of its own or by a `[[rule]]` | that |
//! | 2117 | to the prefix of a `[[rule]]` | the rule's |
//! | 2120 | from an endpoint's address that no subnet of its parent has | the parent's |
//! | 2130 and up | from a subnet of a parent, in the order of the configuration | the parent's |
//!
//! All of them, and the routes in these tables, bear protocol number 110. An endpoint's own table holds
//! what `mirror` makes of its routes. Where the node itself sends to
//! an endpoint, it does so from its address on the endpoint's parent.

mod mend;

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use netpath_common::route::TABLE_MAIN;

pub(super) use self::mend::remove;
use super::{Parent, mirror};
use crate::{
    attachment::Attachment,
    config::Config,
    endpoint::Record,
    name::InterfaceName,
    netlink::{Proxy, Rule, TableRoute, Way},
    node::State,
    route::Table,
    rule::{self, RuleSpec},
};

/// The table of endpoints that have a device of their own.
pub const ENDPOINTS: u32 = 110;

const PRIORITY_ENDPOINTS: u32 = 2110;
const PRIORITY_MARK: u32 = 2112;
const PRIORITY_OWN: u32 = 2115;
const PRIORITY_DESTINATION: u32 = 2117;
const PRIORITY_ADDRESS: u32 = 2120;
const PRIORITY_SUBNET: u32 = 2130;

/// Unspecified, our own, and the kernel's default and local.
const RESERVED: [u32; 4] = [0, ENDPOINTS, 253, 255];

/// The table of the second parent; the next one has the next number.
const FIRST_TABLE: u32 = 1001;

/// What there should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules.
    pub rules: BTreeSet<Rule>,
    /// The routes of our tables.
    pub routes: BTreeSet<TableRoute>,
    /// What parents listen for.
    pub proxies: BTreeSet<Proxy>,
}

impl Policy {
    /// What the configuration and the endpoints ask for, as far as parents and devices are there.
    #[must_use]
    pub fn of(config: &Config, state: &State) -> Self {
        let mut policy = Self::default();
        for (place, parent) in (0..).zip(&config.parents) {
            let Some(table) = table(parent, place) else { continue };
            for subnet in &parent.subnets {
                policy.rules.insert(Rule::from(*subnet, PRIORITY_SUBNET + place, table));
            }
            if let Some(parent) = state.parents.get(&parent.name) {
                policy.add_parent(parent, table);
            }
        }
        for record in state.endpoints() {
            policy.rules.extend(rules_of(config, record));
            policy.routes.extend(routes_of(config, state, record));
            policy.proxies.extend(proxies_of(state, record));
        }
        policy.rules.extend(config.rules.iter().flat_map(rules_by));
        let routes = state.routes();
        policy.routes.extend(routes.filter_map(|entry| mirror::of(config, state, &entry.spec)));
        policy
    }

    fn add_parent(&mut self, parent: &Parent, table: u32) {
        let index = parent.link.index;
        let mut add = |destination, gateways| {
            let way = Way::Device { index, gateways, source: None };
            self.routes.insert(TableRoute { table, destination, priority: 0, way });
        };
        // A device that is down takes no routes.
        if !parent.link.up {
            return;
        }
        for subnet in &parent.config.subnets {
            add(*subnet, BTreeSet::new());
        }
        for router in &parent.config.routers {
            let any = IpNet::new_assert(*router, 0).trunc();
            add(any, BTreeSet::from([*router]));
        }
    }
}

/// The rules by destination and by mark. Those by source are endpoints' own: see [`rules_of`].
fn rules_by(rule: &RuleSpec) -> Vec<Rule> {
    let RuleSpec { from: _, to, mark, table } = rule;
    let mut rules = Vec::new();
    rules.extend(to.map(|prefix| Rule::to(prefix, PRIORITY_DESTINATION, table.0)));
    for ipv6 in [false, true] {
        let all = Rule::for_all(ipv6, PRIORITY_MARK, table.0);
        rules.extend(mark.map(|mark| Rule { mark: Some(mark), ..all }));
    }
    rules
}

/// The rules that an endpoint needs: for all that have a device of their own the same, and for each
/// address that the rules by subnet lead elsewhere one of its own.
fn rules_of(config: &Config, record: &Record) -> Vec<Rule> {
    let own = own_table(config, &record.spec.parent);
    let mut rules = Vec::new();
    for address in record.spec.addresses.iter().map(IpNet::addr) {
        let from = |priority, table| Rule::from(IpNet::from(address), priority, table);
        if is_routed(config, record) {
            let all = Rule::for_all(address.is_ipv6(), PRIORITY_ENDPOINTS, ENDPOINTS);
            // A program that has a parent send leaves the way to endpoints behind it.
            rules.push(Rule { unmarked: true, ..all });
        }
        // What has a NIC of its own comes by the host stack for the node's sake only.
        if record.attachment == Attachment::Exclusive {
            continue;
        }
        let asked = rule::table_of(&config.rules, record.spec.table, address);
        if asked != Table::MAIN && !is_taken(config, asked.0) {
            rules.push(from(PRIORITY_OWN, asked.0));
        }
        if by_subnet(config, address) != own {
            rules.push(from(PRIORITY_ADDRESS, own.unwrap_or(TABLE_MAIN)));
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
        let on = |parent| state.address_on(parent, address.is_ipv6());
        let source = on(&record.spec.parent)
            .or_else(|| config.parents.iter().find_map(|parent| on(&parent.name)));
        let way = Way::Device { index, gateways: BTreeSet::new(), source };
        TableRoute { table: ENDPOINTS, destination, priority: 0, way }
    });
    ways.collect()
}

/// The addresses that an endpoint's parent listens for, if it is there. The endpoint itself takes no part
/// in neighbour discovery on the wire, and a NIC need not hand over what nobody listens for.
fn proxies_of(state: &State, record: &Record) -> Vec<Proxy> {
    let listens = match record.attachment {
        Attachment::PolicyRoute | Attachment::IpvlanL3 | Attachment::IpvlanL3s => true,
        Attachment::IpvlanL2 | Attachment::Macvlan | Attachment::Exclusive => false,
    };
    let parent = state.parents.get(&record.spec.parent).filter(|parent| listens && parent.link.up);
    let Some(parent) = parent else { return Vec::new() };
    let proxy = |address| match address {
        IpAddr::V6(address) => Some(Proxy { index: parent.link.index, address }),
        IpAddr::V4(_) => None,
    };
    record.spec.addresses.iter().map(IpNet::addr).filter_map(proxy).collect()
}

/// Whether a table is the kernel's or our own.
#[must_use]
pub fn is_reserved(number: u32) -> bool {
    RESERVED.contains(&number)
}

/// Whether a table is the kernel's, our own or a parent's, so that endpoints and routes can not have
/// it: what the host stack finds there is no mirror of theirs.
#[must_use]
pub fn is_taken(config: &Config, number: u32) -> bool {
    let mut parents = (0..).zip(&config.parents);
    is_reserved(number) || parents.any(|(place, parent)| table(parent, place) == Some(number))
}

/// The table of the parent in this place, if it has one.
fn table(parent: &crate::config::Parent, place: u32) -> Option<u32> {
    let asked = !parent.subnets.is_empty() || !parent.routers.is_empty();
    let usual = (place > 0).then(|| FIRST_TABLE + place - 1);
    let whole = parent.attachment == Attachment::Exclusive;
    parent.table.or(usual).filter(|_| asked && !whole)
}

/// Whether a parent has a table of its own.
pub(super) fn has_table(config: &Config, parent: &InterfaceName) -> bool {
    own_table(config, parent).is_some()
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
