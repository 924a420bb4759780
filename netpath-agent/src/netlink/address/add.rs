//! Giving addresses to interfaces.

use ipnet::IpNet;
use rtnetlink::packet_route::address::AddressHeaderFlags;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Adds an address without duplicate address detection: the agent knows who owns what, and a
    /// tentative IPv6 address would be unusable for a second.
    pub async fn add_address(&self, index: u32, address: IpNet) -> Result<(), Error> {
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        request
            .execute()
            .await
            .map_err(Error::request(|| format!("add address {address} to interface {index}")))
    }
}
