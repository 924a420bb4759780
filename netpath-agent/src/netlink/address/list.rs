//! Listing addresses.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use crate::netlink::{Error, Netlink};

/// An address of an interface of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix_len: u8,
}

impl Netlink {
    /// All addresses of the namespace, of both families.
    pub async fn addresses(&self) -> Result<Vec<HostAddress>, Error> {
        let messages: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(Error::request(|| "list the addresses".to_owned()))?;
        Ok(messages.iter().filter_map(read).collect())
    }
}

/// The local address of a message. On a point-to-point link `IFA_ADDRESS` is the peer's, so
/// `IFA_LOCAL` goes first; IPv6 has `IFA_LOCAL` on such links only.
fn read(message: &AddressMessage) -> Option<HostAddress> {
    let find =
        |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let header = &message.header;
    Some(HostAddress { index: header.index, address, prefix_len: header.prefix_len })
}
