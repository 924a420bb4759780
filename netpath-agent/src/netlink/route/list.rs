//! Listing routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use rtnetlink::packet_route::{
    AddressFamily,
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType},
};

use super::{IPV6_PRIORITY, Route};
use crate::netlink::{Error, Netlink};

impl Netlink {
    /// The unicast routes of the main table that leave by an interface, of both families.
    pub async fn routes(&self, index: u32) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let messages: Vec<RouteMessage> = self
                .handle
                .route()
                .get(question)
                .execute()
                .try_collect()
                .await
                .map_err(Error::request(|| "list the routes".to_owned()))?;
            routes.extend(messages.iter().filter_map(|message| read(message, index)));
        }
        Ok(routes)
    }
}

fn read(message: &RouteMessage, index: u32) -> Option<Route> {
    let header = &message.header;
    let ours = message.attributes.contains(&RouteAttribute::Oif(index))
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.kind == RouteType::Unicast;
    if ours { route(message) } else { None }
}

/// What a message says of where a route leads.
pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let ipv6 = header.address_family == AddressFamily::Inet6;
    let any = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let mut destination = any;
    let mut route = Route { destination: IpNet::from(any), gateway: None, mtu: None, priority: 0 };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = plain(address)?,
            RouteAttribute::Gateway(address) => route.gateway = plain(address),
            RouteAttribute::Priority(IPV6_PRIORITY) if ipv6 => {}
            RouteAttribute::Priority(priority) => route.priority = *priority,
            RouteAttribute::Metrics(metrics) => route.mtu = metrics.iter().find_map(mtu),
            _ => {}
        }
    }
    route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    Some(route)
}

pub(super) const fn plain(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

const fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}
