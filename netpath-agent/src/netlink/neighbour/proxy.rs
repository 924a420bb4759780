//! Proxy neighbours: addresses of IPv6 that an interface listens for in the place of others.
//!
//! For each the kernel joins the group that solicitations for it are sent to (`pndisc_constructor`), so
//! that the NIC's filter and switches that keep track of listeners let them through. It answers them
//! only if `proxy_ndp` is set.

use std::net::{IpAddr, Ipv6Addr};

use futures::TryStreamExt as _;
use rtnetlink::packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage},
};

use crate::netlink::{Error, Netlink, route::PROTOCOL};

/// A proxy neighbour that bears our mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: Ipv6Addr,
}

impl Netlink {
    /// Those that bear our mark.
    pub async fn proxies(&self) -> Result<Vec<Proxy>, Error> {
        let request = self.handle.neighbours().get().set_address_family(AddressFamily::Inet6);
        let messages: Vec<NeighbourMessage> = request
            .proxies()
            .execute()
            .try_collect()
            .await
            .map_err(Error::request(|| "list the proxy neighbours".to_owned()))?;
        Ok(messages.iter().filter_map(read).collect())
    }

    /// Adds one. One that is there is no error.
    pub async fn add_proxy(&self, proxy: &Proxy) -> Result<(), Error> {
        let Proxy { index, address } = *proxy;
        let request = self.handle.neighbours().add(index, IpAddr::V6(address)).replace();
        let mut request = request.flags(NeighbourFlags::Proxy);
        request.message_mut().attributes.push(NeighbourAttribute::Protocol(PROTOCOL));
        request
            .execute()
            .await
            .map_err(Error::request(|| format!("listen for {address} on interface {index}")))
    }

    /// Removes one. One that is not there is no error.
    pub async fn delete_proxy(&self, proxy: &Proxy) -> Result<(), Error> {
        self.delete_neighbour(proxy.index, IpAddr::V6(proxy.address), NeighbourFlags::Proxy).await
    }
}

fn read(message: &NeighbourMessage) -> Option<Proxy> {
    let (mut address, mut ours) = (None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(*v6),
            NeighbourAttribute::Protocol(protocol) => ours = *protocol == PROTOCOL,
            _ => {}
        }
    }
    Some(Proxy { index: message.header.ifindex, address: address.filter(|_| ours)? })
}
