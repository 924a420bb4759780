//! A pod's interface as it is, against what it should be.

use std::net::IpAddr;

use ipnet::IpNet;
use netpath_common::Mac;

use super::{Error, Wiring};
use crate::{
    netlink::{Link, Netlink, Route, Visit},
    pod::Mismatch,
};

/// What puts a difference right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fix {
    /// Remove what is there and make it anew; everything else comes with it.
    Make,
    Alias,
    Switch,
    Mac(Mac),
    Mtu(u32),
    Address(IpNet),
    Up,
    Neighbour(IpAddr, Mac),
    Route(Route),
    /// A route that the kernel made for an address.
    Subnet(Route),
    /// A route that is not wanted any more.
    Stale(Route),
}

/// What is inside the namespace.
#[derive(Debug)]
struct Found {
    link: Link,
    addresses: Vec<IpNet>,
    routes: Vec<Route>,
    neighbours: Vec<(IpAddr, Mac)>,
}

pub(super) async fn inspect(wiring: &Wiring, visit: &Visit) -> Result<Vec<Mismatch>, Error> {
    let mut list = Vec::new();
    for wiring in wiring.parts() {
        let found = find(wiring, &visit.there).await?;
        let differences = differences(wiring, found.as_ref());
        list.extend(differences.into_iter().map(|(mismatch, _)| mismatch));
        if let Some(device) = &wiring.device {
            list.extend(device.inspect(&visit.home).await?);
        }
    }
    Ok(list)
}

pub(super) async fn repair(wiring: &Wiring, visit: &Visit) -> Result<Vec<Mismatch>, Error> {
    let mut list = Vec::new();
    for wiring in wiring.parts() {
        let found = find(wiring, &visit.there).await?;
        let index = found.as_ref().map_or(0, |found| found.link.index);
        let differences = differences(wiring, found.as_ref());
        for (_, fix) in &differences {
            apply(wiring, visit, index, fix).await?;
        }
        list.extend(differences.into_iter().map(|(mismatch, _)| mismatch));
        if let Some(device) = &wiring.device {
            list.extend(device.ensure(&visit.home).await?);
        }
    }
    Ok(list)
}

async fn find(wiring: &Wiring, there: &Netlink) -> Result<Option<Found>, Error> {
    let Some(link) = there.links().await?.into_iter().find(|link| is_ours(wiring, link)) else {
        return Ok(None);
    };
    let addresses = there
        .addresses()
        .await?
        .into_iter()
        .filter(|address| address.index == link.index)
        .filter_map(|host| IpNet::new(host.address, host.prefix_len).ok())
        .collect();
    let routes = there.routes(link.index).await?;
    let neighbours = if wiring.neighbours.is_empty() {
        Vec::new()
    } else {
        there.permanent_neighbours(link.index).await?
    };
    Ok(Some(Found { link, addresses, routes, neighbours }))
}

/// By its mark; or, should that be gone, by all else.
fn is_ours(wiring: &Wiring, link: &Link) -> bool {
    let in_place = link.name == wiring.interface && wiring.child.is(link, wiring.parent);
    wiring.child.is_kind_of(link) && (in_place || link.alias.as_ref() == Some(&wiring.alias))
}

/// Every difference and its remedy, in the order in which they can be applied.
fn differences(wiring: &Wiring, found: Option<&Found>) -> Vec<(Mismatch, Fix)> {
    let interface = &wiring.interface;
    let mut list = Vec::new();
    let mut note = |what: String, expected: String, found: String, fix| {
        list.push((Mismatch { what, expected, found }, fix));
    };
    let Some(Found { link, addresses, routes, neighbours }) = found else {
        let kind = wiring.child.name();
        let article = if kind.starts_with('i') { "an" } else { "a" };
        let expected = format!("{article} {kind} interface");
        note(format!("link {interface}"), expected, "none".into(), Fix::Make);
        return list;
    };
    if link.name != *interface {
        note("link".into(), interface.clone(), link.name.clone(), Fix::Make);
        return list;
    }
    let alias = link.alias.as_deref().unwrap_or_default();
    if alias != wiring.alias {
        note(format!("alias of {interface}"), wiring.alias.clone(), alias.into(), Fix::Alias);
    }
    if let Some((expected, found)) = wiring.child.other_mode(link) {
        note(format!("mode of {interface}"), expected, found, Fix::Switch);
    }
    if let Some(mac) = wiring.child.mac().filter(|mac| link.mac != Some(*mac)) {
        let found = link.mac.map_or_else(|| "none".into(), |mac| mac.to_string());
        note(format!("MAC of {interface}"), mac.to_string(), found, Fix::Mac(mac));
    }
    let mtu = wiring.mtu.unwrap_or(wiring.parent_mtu);
    if link.mtu != mtu {
        let found = link.mtu.to_string();
        note(format!("MTU of {interface}"), mtu.to_string(), found, Fix::Mtu(mtu));
    }
    for address in wiring.addresses.iter().filter(|address| !addresses.contains(address)) {
        let what = format!("address {address}");
        note(what, format!("on {interface}"), "missing".into(), Fix::Address(*address));
    }
    if link.up {
        let there = wiring.addresses.iter().filter(|address| addresses.contains(address));
        for route in there.filter_map(subnet).filter(|route| !routes.contains(route)) {
            let what = format!("route {}", route.destination);
            note(what, way(&route), "missing".into(), Fix::Subnet(route));
        }
    } else {
        note(format!("link {interface}"), "up".into(), "down".into(), Fix::Up);
    }
    for (address, mac) in wiring.neighbours.iter().filter(|one| !neighbours.contains(one)) {
        let (what, fix) = (format!("neighbour {address}"), Fix::Neighbour(*address, *mac));
        note(what, mac.to_string(), "missing".into(), fix);
    }
    for route in wiring.routes.iter().filter(|route| !routes.contains(route)) {
        let what = format!("route {}", route.destination);
        note(what, way(route), "missing".into(), Fix::Route(route.clone()));
    }
    let stale = |route: &&Route| route.gateway.is_some() && !wiring.routes.contains(route);
    for route in routes.iter().filter(|_| wiring.follows).filter(stale) {
        let what = format!("route {}", route.destination);
        note(what, "none".into(), way(route), Fix::Stale(route.clone()));
    }
    list
}

/// The route that the kernel makes for an address, where its subnet is more than the address.
fn subnet(address: &IpNet) -> Option<Route> {
    // IP6_RT_PRIO_ADDRCONF.
    let priority = if address.addr().is_ipv6() { 256 } else { 0 };
    let route = Route { destination: address.trunc(), gateway: None, mtu: None, priority };
    (address.prefix_len() < address.max_prefix_len()).then_some(route)
}

fn way(route: &Route) -> String {
    match route.gateway {
        Some(gateway) => format!("by {gateway}"),
        None => "on the link".to_owned(),
    }
}

async fn apply(wiring: &Wiring, visit: &Visit, index: u32, fix: &Fix) -> Result<(), Error> {
    let there = &visit.there;
    match fix {
        Fix::Make => {
            if index != 0 {
                wiring.child.remove(there, index).await?;
            }
            wiring.build(visit).await?;
        }
        Fix::Alias => there.set_alias(index, &wiring.alias).await?,
        Fix::Switch => wiring.child.switch(there, index).await?,
        Fix::Mac(mac) => there.set_mac(index, *mac).await?,
        Fix::Mtu(mtu) => there.set_mtu(index, *mtu).await?,
        Fix::Address(address) => wiring.add_address(there, index, *address).await?,
        Fix::Up => there.set_up(index).await?,
        Fix::Neighbour(address, mac) => there.set_neighbour(index, *address, *mac).await?,
        Fix::Route(route) => there.replace_route(index, route).await?,
        Fix::Subnet(route) => there.append_route(index, route).await?,
        Fix::Stale(route) => there.delete_route(index, route).await?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        found.link.ipvlan =
            Some(IpvlanPort { mode: IpvlanMode::L3, flags: Some(IpvlanFlags::Bridge) });
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
}
