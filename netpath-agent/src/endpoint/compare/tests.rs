//! Differences, and what puts them right.

use super::*;
use crate::{
    endpoint::Child,
    netlink::{IpvlanFlags, IpvlanMode, IpvlanPort, LinkKind, MacvlanMode},
};

fn wiring() -> Wiring {
    Wiring {
        netns: "/run/netns/a".into(),
        namespace: None,
        interface: "eth0".into(),
        draft: "np-0".into(),
        alias: "netpath:a".into(),
        parent: 2,
        parent_mtu: 1500,
        child: Child::Ipvlan(IpvlanMode::L2, IpvlanFlags::Vepa),
        mtu: None,
        addresses: vec!["10.0.0.5/24".parse().expect("address")],
        neighbours: Vec::new(),
        device: None,
        beside: None,
        follows: false,
        routes: vec![Route {
            destination: "0.0.0.0/0".parse().expect("prefix"),
            gateway: Some("10.0.0.1".parse().expect("address")),
            mtu: None,
            priority: 0,
        }],
    }
}

fn found() -> Found {
    let wiring = wiring();
    Found {
        link: Link {
            index: 7,
            name: wiring.interface,
            mac: None,
            permanent: None,
            mtu: 1500,
            up: true,
            loopback: false,
            kind: LinkKind::Ipvlan,
            macvlan: None,
            ipvlan: Some(IpvlanPort { mode: IpvlanMode::L2, flags: Some(IpvlanFlags::Vepa) }),
            vlan: None,
            port_of: None,
            lower: Some(2),
            alias: Some(wiring.alias),
        },
        routes: wiring.addresses.iter().filter_map(subnet).chain(wiring.routes).collect(),
        addresses: wiring.addresses,
        neighbours: Vec::new(),
    }
}

#[test]
fn what_is_as_it_should_be_needs_nothing() {
    assert_eq!(differences(&wiring(), Some(&found())), []);
}

#[test]
fn additions_of_others_are_left_alone() {
    let mut found = found();
    found.addresses.push("10.0.0.6/24".parse().expect("address"));
    found.routes.push(Route { priority: 7, ..wiring().routes[0].clone() });
    assert_eq!(differences(&wiring(), Some(&found)), []);
}

#[test]
fn every_difference_is_named() {
    let mut found = found();
    found.link.up = false;
    found.link.mtu = 1400;
    found.link.alias = None;
    found.link.ipvlan = Some(IpvlanPort { mode: IpvlanMode::L3, flags: Some(IpvlanFlags::Bridge) });
    found.addresses.clear();
    found.routes.clear();
    let named: Vec<_> = differences(&wiring(), Some(&found))
        .iter()
        .map(|(mismatch, _)| mismatch.to_string())
        .collect();
    assert_eq!(
        named,
        [
            "alias of eth0: expected netpath:a, found ",
            "mode of eth0: expected l2 vepa, found l3 bridge",
            "MTU of eth0: expected 1500, found 1400",
            "address 10.0.0.5/24: expected on eth0, found missing",
            "link eth0: expected up, found down",
            "route 0.0.0.0/0: expected by 10.0.0.1, found missing",
        ]
    );
}

#[test]
fn the_way_to_the_subnet_comes_back_as_the_kernel_makes_it() {
    for (address, expected) in [
        ("10.0.0.5/24", Some(("10.0.0.0/24", 0))),
        ("fd00::5/64", Some(("fd00::/64", 256))),
        ("10.0.0.5/32", None),
        ("fd00::5/128", None),
    ] {
        let route = subnet(&address.parse().expect("address"));
        let found = route.map(|route| (route.destination.to_string(), route.priority));
        assert_eq!(found.as_ref().map(|(prefix, n)| (prefix.as_str(), *n)), expected);
    }
    let mut found = found();
    found.routes.remove(0);
    let differences = differences(&wiring(), Some(&found));
    let named: Vec<_> = differences.iter().map(|(found, _)| found.what.as_str()).collect();
    assert_eq!(named, ["route 10.0.0.0/24"]);
}

#[test]
fn a_macvlan_child_has_an_address_of_its_own() {
    let mac = |last| Mac::new([2, 0, 0, 0, 0, last]);
    let child = Child::Macvlan { mode: MacvlanMode::Vepa, mac: mac(7) };
    let wiring = Wiring { child, ..wiring() };
    let mut found = found();
    found.link = Link {
        kind: LinkKind::Macvlan,
        ipvlan: None,
        macvlan: Some(MacvlanMode::Bridge),
        mac: Some(mac(8)),
        ..found.link
    };
    let differences = differences(&wiring, Some(&found));
    let named: Vec<_> = differences.iter().map(|(found, _)| found.to_string()).collect();
    let expected = [
        "mode of eth0: expected vepa, found bridge",
        "MAC of eth0: expected 02:00:00:00:00:07, found 02:00:00:00:00:08",
    ];
    assert_eq!(named, expected);
}

#[test]
fn routes_that_follow_the_nodes_go_with_them() {
    let (mut wiring, found) = (wiring(), found());
    wiring.routes.clear();
    assert_eq!(differences(&wiring, Some(&found)), []);
    wiring.follows = true;
    let differences = differences(&wiring, Some(&found));
    assert!(matches!(differences[..], [(_, Fix::Stale(_))]), "{differences:?}");
}

#[test]
fn what_is_gone_or_renamed_is_made_anew() {
    let gone = differences(&wiring(), None);
    assert!(matches!(gone[..], [(_, Fix::Make)]), "{gone:?}");
    let mut found = found();
    found.link.name = "eth1".into();
    found.routes.clear();
    let renamed = differences(&wiring(), Some(&found));
    assert!(matches!(renamed[..], [(_, Fix::Make)]), "{renamed:?}");
}
