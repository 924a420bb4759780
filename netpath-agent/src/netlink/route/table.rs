//! Routes of tables other than the main one.

use std::{collections::BTreeSet, net::IpAddr};

use futures::TryStreamExt as _;
use rtnetlink::packet_route::{
    AddressFamily,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
        RouteType,
    },
};

use super::{PROTOCOL, Route, TableRoute, Way, add, list};
use crate::netlink::{Error, Netlink};

impl Netlink {
    /// The routes that bear our mark, of both families, in all tables but the main one.
    pub async fn table_routes(&self) -> Result<Vec<TableRoute>, Error> {
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
                .map_err(Error::request(|| "list the routes of all tables".to_owned()))?;
            let ours = messages.iter().filter(|message| message.header.protocol == PROTOCOL);
            routes.extend(ours.filter_map(read));
        }
        Ok(routes)
    }

    /// Adds a route, in place of one to the same destination with the same priority.
    pub async fn add_table_route(&self, route: &TableRoute) -> Result<(), Error> {
        let request = self.handle.route().add(message(route)).replace();
        request.execute().await.map_err(Error::request(|| describe("add", route)))
    }

    /// Removes a route; one that is gone already is no error. IPv6 takes one that leads nowhere for
    /// any to the same destination: who replaced it must not remove it.
    pub async fn delete_table_route(&self, route: &TableRoute) -> Result<(), Error> {
        let request = self.handle.route().del(message(route));
        let deleted = request.execute().await.map_err(Error::request(|| describe("remove", route)));
        match deleted {
            Err(error) if error.errno() == Some(nix::libc::ESRCH) => Ok(()),
            other => other,
        }
    }
}

fn describe(verb: &str, TableRoute { table, destination, .. }: &TableRoute) -> String {
    format!("{verb} the route to {destination} in table {table}")
}

fn message(TableRoute { table, destination, priority, way }: &TableRoute) -> RouteMessage {
    let (destination, priority) = (*destination, *priority);
    let mut message = match way {
        Way::Device { index, gateways, source } => {
            let mut message = match gateways.first() {
                Some(_) if gateways.len() > 1 => {
                    let mut message = add::towards(destination, priority);
                    let hops = gateways.iter().map(|gateway| hop(*index, *gateway));
                    message.attributes.push(RouteAttribute::MultiPath(hops.collect()));
                    message
                }
                first => {
                    let gateway = first.copied();
                    add::message(*index, &Route { destination, gateway, mtu: None, priority })
                }
            };
            let source = source.map(|it| RouteAttribute::PrefSource(RouteAddress::from(it)));
            message.attributes.extend(source);
            message
        }
        Way::Blackhole | Way::Throw => add::towards(destination, priority),
    };
    message.header.kind = match way {
        Way::Device { .. } => RouteType::Unicast,
        Way::Blackhole => RouteType::BlackHole,
        Way::Throw => RouteType::Throw,
    };
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.attributes.push(RouteAttribute::Table(*table));
    message
}

/// A next hop that is taken to be on the link, as that of a route with no other.
fn hop(index: u32, gateway: IpAddr) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    hop.flags = RouteNextHopFlags::Onlink;
    hop.interface_index = index;
    hop.attributes.push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
    hop
}

fn gateways_of(hop: &RouteNextHop) -> impl Iterator<Item = IpAddr> {
    hop.attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => list::plain(address),
        _ => None,
    })
}

fn read(message: &RouteMessage) -> Option<TableRoute> {
    let header = &message.header;
    let (mut table, mut index, mut source) = (u32::from(header.table), None, None);
    let mut gateways = BTreeSet::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Oif(by) => index = Some(*by),
            RouteAttribute::PrefSource(address) => source = list::plain(address),
            RouteAttribute::MultiPath(hops) => {
                index = hops.first().map(|hop| hop.interface_index);
                gateways.extend(hops.iter().flat_map(gateways_of));
            }
            _ => {}
        }
    }
    if table == u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let Route { destination, gateway, mtu: _, priority } = list::route(message)?;
    gateways.extend(gateway);
    let way = match header.kind {
        RouteType::Unicast => Way::Device { index: index?, gateways, source },
        RouteType::BlackHole => Way::Blackhole,
        RouteType::Throw => Way::Throw,
        _ => return None,
    };
    Some(TableRoute { table, destination, priority, way })
}
