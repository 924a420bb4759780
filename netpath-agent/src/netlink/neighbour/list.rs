//! Listing neighbours.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use netpath_common::Mac;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// The neighbours on an interface that stay until somebody removes them.
    pub async fn permanent_neighbours(&self, index: u32) -> Result<Vec<(IpAddr, Mac)>, Error> {
        let messages: Vec<NeighbourMessage> = self
            .handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(Error::request(|| "list the neighbours".to_owned()))?;
        let here = messages.iter().filter(|message| {
            message.header.ifindex == index && message.header.state == NeighbourState::Permanent
        });
        Ok(here.filter_map(read).collect())
    }
}

fn read(message: &NeighbourMessage) -> Option<(IpAddr, Mac)> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac::new);
            }
            _ => {}
        }
    }
    Some((address?, mac?))
}
