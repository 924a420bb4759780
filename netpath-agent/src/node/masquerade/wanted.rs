//! What our table should be: a set of parents, and for each masqueraded table and family one of sources, one
//! of the VPC's prefixes, and a rule.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::{
    attachment::Attachment,
    config::Config,
    endpoint::Record,
    masquerade::MasqueradeSpec,
    netfilter::nftables::{Element, Kind, Rule, Set, Table},
    node::State,
    rule,
};

/// The set of parents.
const PARENTS: &str = "parents";

/// How an address of an endpoint is masqueraded. What has a NIC of its own sends by that.
pub(super) fn spec_of<'a>(
    config: &'a Config,
    record: &Record,
    address: IpAddr,
) -> Option<&'a MasqueradeSpec> {
    let table = rule::table_of(&config.rules, record.spec.table, address);
    let of_table = |spec: &&MasqueradeSpec| spec.table == table;
    let spec = config.masquerades.iter().find(of_table)?;
    let concerned =
        spec.has_family(address.is_ipv6()) && record.attachment != Attachment::Exclusive;
    concerned.then_some(spec)
}

/// The elements that an endpoint has in sets of sources.
pub(super) fn sources(config: &Config, record: &Record) -> BTreeMap<String, Set> {
    let mut sets = BTreeMap::new();
    for address in record.spec.addresses.iter().map(IpNet::addr) {
        let Some(spec) = spec_of(config, record, address) else { continue };
        let kind = Kind::of(address);
        let set = sets.entry(name("from", spec, kind)).or_insert_with(|| Set::of(kind));
        set.elements.insert(address.into());
    }
    sets
}

/// What our table should be, if anything is masqueraded.
pub(super) fn wanted(config: &Config, state: &State) -> Option<Table> {
    if config.masquerades.is_empty() {
        return None;
    }
    let mut table = Table::default();
    let mut parents = Set::of(Kind::Device);
    parents.elements.extend(state.parents.values().map(|it| Element::device(it.link.index)));
    table.sets.insert(PARENTS.to_owned(), parents);
    for spec in &config.masquerades {
        for kind in [Kind::Ipv4, Kind::Ipv6] {
            let inside: Vec<_> =
                spec.inside().filter(|prefix| Kind::of(prefix.addr()) == kind).collect();
            if inside.is_empty() {
                continue;
            }
            let [from, except] = ["from", "vpc"].map(|what| name(what, spec, kind));
            table.sets.insert(from.clone(), Set::of(kind));
            table.sets.insert(except.clone(), Set::of_prefixes(kind, &inside));
            let comment = format!("table {}, {}", spec.table, family(kind));
            table.rules.push(Rule { kind, by: PARENTS.to_owned(), from, except, comment });
        }
    }
    for record in state.endpoints() {
        for (name, set) in sources(config, record) {
            if let Some(all) = table.sets.get_mut(&name) {
                all.elements.extend(set.elements);
            }
        }
    }
    Some(table)
}

fn name(what: &str, spec: &MasqueradeSpec, kind: Kind) -> String {
    format!("{what}-{}-{}", spec.table, family(kind))
}

const fn family(kind: Kind) -> &'static str {
    if matches!(kind, Kind::Ipv6) { "ipv6" } else { "ipv4" }
}
