//! Routes of tables other than the main one.

use futures::TryStreamExt as _;
use rtnetlink::packet_route::{
    AddressFamily,
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};

use super::{PROTOCOL, TableRoute, add, list};
use crate::netlink::{Error, Netlink};

impl Netlink {
    /// The routes that bear our mark, of both families, in all tables but the main one; or only those
    /// by one interface.
    pub async fn table_routes(&self, index: Option<u32>) -> Result<Vec<TableRoute>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            question.attributes.extend(index.map(RouteAttribute::Oif));
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
        routes.retain(|found| index.is_none_or(|index| found.index == index));
        Ok(routes)
    }

    /// Adds a route, in place of one to the same destination with the same priority.
    pub async fn add_table_route(&self, route: &TableRoute) -> Result<(), Error> {
        let request = self.handle.route().add(message(route)).replace();
        request.execute().await.map_err(Error::request(|| describe("add", route)))
    }

    /// Removes a route; one that is gone already is no error.
    pub async fn delete_table_route(&self, route: &TableRoute) -> Result<(), Error> {
        let request = self.handle.route().del(message(route));
        let deleted = request.execute().await.map_err(Error::request(|| describe("remove", route)));
        match deleted {
            Err(error) if error.errno() == Some(nix::libc::ESRCH) => Ok(()),
            other => other,
        }
    }
}

fn describe(verb: &str, TableRoute { table, route, .. }: &TableRoute) -> String {
    format!("{verb} the route to {} in table {table}", route.destination)
}

fn message(TableRoute { table, index, route, source }: &TableRoute) -> RouteMessage {
    let mut message = add::message(*index, route);
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.attributes.push(RouteAttribute::Table(*table));
    let source = source.map(|source| RouteAttribute::PrefSource(RouteAddress::from(source)));
    message.attributes.extend(source);
    message
}

fn read(message: &RouteMessage) -> Option<TableRoute> {
    let header = &message.header;
    let (mut table, mut index, mut source) = (u32::from(header.table), None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Oif(by) => index = Some(*by),
            RouteAttribute::PrefSource(address) => source = list::plain(address),
            _ => {}
        }
    }
    if table == u32::from(RouteHeader::RT_TABLE_MAIN) || header.kind != RouteType::Unicast {
        return None;
    }
    Some(TableRoute { table, index: index?, route: list::route(message)?, source })
}
