//! Adding and removing routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::StreamExt as _;
use ipnet::IpNet;
use rtnetlink::{
    RouteMessageBuilder,
    packet_core::{
        NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
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

    /// Removes a route by an interface; one that is gone already is no error.
    pub async fn delete_route(&self, index: u32, route: &Route) -> Result<(), Error> {
        let request = self.handle.route().del(message(index, route));
        let action = || format!("remove the route to {}", route.destination);
        match request.execute().await.map_err(Error::request(action)) {
            Err(error) if error.errno() == Some(nix::libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// The same beside those to the same destination by other interfaces, which an addition would
    /// stumble over and a replacement would remove.
    pub async fn append_route(&self, index: u32, route: &Route) -> Result<(), Error> {
        let mut request =
            NetlinkMessage::from(RouteNetlinkMessage::NewRoute(message(index, route)));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
        let refused = Error::request(|| describe(route));
        let mut answers = match self.handle.clone().request(request) {
            Ok(answers) => answers,
            Err(error) => return Err(refused(error)),
        };
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(refused(rtnetlink::Error::NetlinkError(error)));
            }
        }
        Ok(())
    }
}

fn describe(route: &Route) -> String {
    let Route { destination, gateway, .. } = route;
    let by = gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
    format!("add the route to {destination}{by}")
}

pub(super) fn message(index: u32, route: &Route) -> RouteMessage {
    let Route { destination, gateway, mtu, priority } = route;
    let mut message = towards(*destination, *priority);
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Oif(index));
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

/// A route of ours to a destination, which leads nowhere yet.
pub(super) fn towards(destination: IpNet, priority: u32) -> RouteMessage {
    let mut message = match destination.addr() {
        IpAddr::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        IpAddr::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    };
    message.header.protocol = PROTOCOL;
    message.header.destination_prefix_length = destination.prefix_len();
    let attributes = &mut message.attributes;
    if destination.prefix_len() > 0 {
        attributes.push(RouteAttribute::Destination(RouteAddress::from(destination.addr())));
    }
    if priority > 0 {
        attributes.push(RouteAttribute::Priority(priority));
    }
    message
}
