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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        endpoint::{EndpointSpec, Stage},
        name::InterfaceName,
        route,
        rule::RuleSpec,
    };

    fn record(name: &str, table: u32, attachment: Attachment, addresses: [&str; 2]) -> Record {
        Record {
            spec: EndpointSpec {
                name: name.parse().expect("name"),
                netns: "/run/netns/a".into(),
                interface: InterfaceName::ETH0,
                parent: InterfaceName::ETH0,
                attachment: None,
                addresses: addresses.map(|text| text.parse().expect("address")).into(),
                gateways: Vec::new(),
                table: route::Table(table),
                mtu: None,
            },
            slot: 0,
            link_local: Some("fe80::5".parse().expect("address")),
            stage: Stage::Adding,
            namespace: None,
            nic: None,
            attached: None,
            attachment,
        }
    }

    fn config(vpc: &[&str]) -> Config {
        let vpc = vpc.iter().map(|text| text.parse().expect("prefix")).collect();
        let from = Some("10.0.2.0/24".parse().expect("prefix"));
        let table = route::Table(100);
        Config {
            masquerades: vec![MasqueradeSpec { table, vpc }],
            rules: vec![RuleSpec { from, to: None, mark: None, table }],
            ..Config::default()
        }
    }

    fn sizes(config: &Config, state: &State) -> Vec<(String, usize)> {
        let sets = wanted(config, state).expect("a table").sets;
        sets.into_iter().map(|(name, set)| (name, set.elements.len())).collect()
    }

    #[test]
    fn endpoints_of_the_table_are_sources() {
        let mut state = State::default();
        for endpoint in [
            record("own", 100, Attachment::IpvlanL2, ["10.0.1.1/24", "fd00::1/64"]),
            record("ruled", 254, Attachment::PolicyRoute, ["10.0.2.2/24", "fd00::2/64"]),
            record("other", 7, Attachment::IpvlanL2, ["10.0.2.3/24", "fd00::3/64"]),
            record("whole", 100, Attachment::Exclusive, ["10.0.1.4/24", "fd00::4/64"]),
        ] {
            state.insert(endpoint);
        }
        let both = [
            ("from-100-ipv4", 2),
            ("from-100-ipv6", 1),
            ("parents", 0),
            ("vpc-100-ipv4", 2),
            ("vpc-100-ipv6", 4),
        ];
        let both: Vec<_> = both.map(|(name, size)| (name.to_owned(), size)).into();
        assert_eq!(sizes(&config(&["10.0.0.0/8", "fd00::/8"]), &state), both);
        let one = sizes(&config(&["10.0.0.0/8"]), &state);
        assert!(one.iter().all(|(name, _)| !name.ends_with("ipv6")), "{one:?}");
        assert_eq!(wanted(&Config::default(), &state), None);
    }
}
