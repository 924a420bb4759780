//! Adding routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteScope},
    },
};

use super::{PROTOCOL, Route};
use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Adds a route by an interface. Its gateway is taken to be on the link whatever the addresses
    /// say, as for a pod with a /32.
    pub async fn add_route(&self, index: u32, route: &Route) -> Result<(), Error> {
        let request = self.handle.route().add(message(index, route));
        request.execute().await.map_err(Error::request(|| describe(route)))
    }

    /// The same in place of one to the same destination with the same priority.
    pub async fn replace_route(&self, index: u32, route: &Route) -> Result<(), Error> {
        let request = self.handle.route().add(message(index, route)).replace();
        request.execute().await.map_err(Error::request(|| describe(route)))
    }
}

fn describe(route: &Route) -> String {
    let Route { destination, gateway, .. } = route;
    let by = gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
    format!("add the route to {destination}{by}")
}

fn message(index: u32, route: &Route) -> RouteMessage {
    let Route { destination, gateway, mtu, priority } = route;
    let mut message = match destination.addr() {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    };
    message.header.protocol = PROTOCOL;
    message.header.destination_prefix_length = destination.prefix_len();
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Oif(index));
    if destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(RouteAddress::from(destination.addr())));
    }
    if *priority > 0 {
        attributes.push(RouteAttribute::Priority(*priority));
    }
    if let Some(mtu) = mtu {
        attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(*mtu)]));
    }
    if let Some(gateway) = gateway {
        attributes.push(RouteAttribute::Gateway(RouteAddress::from(*gateway)));
        message.header.flags.insert(RouteFlags::Onlink);
    } else if message.header.address_family == AddressFamily::Inet {
        message.header.scope = RouteScope::Link;
    }
    message
}
