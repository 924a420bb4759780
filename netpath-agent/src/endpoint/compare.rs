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
mod tests;
