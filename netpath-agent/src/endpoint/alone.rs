//! What a pod has that is alone on a link with the node: addresses without a subnet, and the node for a
//! gateway.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netpath_common::{Mac, endpoint::DEVICE_MAC};

use super::{Record, wiring};
use crate::netlink::Route;

/// The gateways of an endpoint that was given none. They are link-local, and nobody else is there.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Its addresses, its routes and its neighbours there.
#[derive(Debug)]
pub(super) struct Alone {
    pub(super) addresses: Vec<IpNet>,
    pub(super) routes: Vec<Route>,
    pub(super) neighbours: Vec<(IpAddr, Mac)>,
}

impl Alone {
    /// On its only link: the node is its gateway to everything, under the name of the real one.
    pub(super) fn of(record: &Record) -> Self {
        let given = wiring::routes(record);
        let subnets = record.spec.addresses.iter().map(IpNet::trunc);
        let mut routes: Vec<Route> = subnets
            .filter(|subnet| subnet.prefix_len() < subnet.max_prefix_len())
            .filter(|subnet| !leads(&given, subnet, gateway(record, subnet.addr())))
            .map(|destination| Route { destination, gateway: None, mtu: None, priority: 0 })
            .collect();
        routes.dedup();
        routes.extend(given);
        let mut neighbours: Vec<(IpAddr, Mac)> = Vec::new();
        for route in &mut routes {
            let by =
                *route.gateway.get_or_insert_with(|| gateway(record, route.destination.addr()));
            if !neighbours.iter().any(|(known, _)| *known == by) {
                neighbours.push((by, DEVICE_MAC));
            }
        }
        let addresses = record.spec.addresses.iter().map(|net| IpNet::from(net.addr())).collect();
        Self { addresses, routes, neighbours }
    }

    /// On the link beside a NIC of its own: the node is the gateway to what only the node has.
    pub(super) fn beside(record: &Record, prefixes: &[IpNet]) -> Self {
        let by = |prefix: &IpNet| match prefix {
            IpNet::V4(_) => IpAddr::from(GATEWAY_V4),
            IpNet::V6(_) => IpAddr::from(GATEWAY_V6),
        };
        let family = |prefix: &&IpNet| {
            let own = record.spec.addresses.iter();
            own.into_iter().any(|own| own.addr().is_ipv4() == prefix.addr().is_ipv4())
        };
        let route = |prefix: &IpNet| Route {
            destination: *prefix,
            gateway: Some(by(prefix)),
            mtu: None,
            priority: 0,
        };
        let gateways: BTreeSet<IpAddr> = prefixes.iter().filter(family).map(by).collect();
        Self {
            addresses: Vec::new(),
            routes: prefixes.iter().filter(family).map(route).collect(),
            neighbours: gateways.into_iter().map(|gateway| (gateway, DEVICE_MAC)).collect(),
        }
    }
}

/// Whether routes lead to a subnet by this gateway without one of its own. One route less is looked at
/// with each packet that the pod sends.
fn leads(routes: &[Route], subnet: &IpNet, by: IpAddr) -> bool {
    let mut ways = routes.iter().filter(|route| route.destination.contains(subnet)).peekable();
    ways.peek().is_some() && ways.all(|way| way.gateway == Some(by) && way.mtu.is_none())
}

/// The gateway of a family.
fn gateway(record: &Record, like: IpAddr) -> IpAddr {
    let given = record.attached.iter().flat_map(|attached| &attached.addresses);
    let given = given.filter_map(|address| address.gateway);
    let mut known = record.spec.gateways.iter().copied().chain(given);
    known.find(|gateway| gateway.is_ipv4() == like.is_ipv4()).unwrap_or(match like {
        IpAddr::V4(_) => GATEWAY_V4.into(),
        IpAddr::V6(_) => GATEWAY_V6.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_subnet_has_a_route_of_its_own_where_it_matters() {
        let by = IpAddr::from([10, 0, 1, 1]);
        let subnet: IpNet = "10.0.1.0/24".parse().unwrap();
        let way = |destination: &str, gateway, mtu| Route {
            destination: destination.parse().unwrap(),
            gateway,
            mtu,
            priority: 0,
        };
        let all = way("0.0.0.0/0", Some(by), None);
        assert!(leads(slice::from_ref(&all), &subnet, by));
        assert!(!leads(&[], &subnet, by));
        assert!(!leads(&[way("::/0", Some(by), None)], &subnet, by));
        assert!(!leads(&[way("0.0.0.0/0", Some(by), Some(1400))], &subnet, by));
        let other = way("10.0.0.0/8", Some([10, 0, 1, 2].into()), None);
        assert!(!leads(&[all, other], &subnet, by));
    }
}
