//! Neighbours that are told, not asked for.

use std::net::IpAddr;

use netpath_common::Mac;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Makes a neighbour known for good, in place of what was known of it.
    pub async fn set_neighbour(&self, index: u32, address: IpAddr, mac: Mac) -> Result<(), Error> {
        let request = self.handle.neighbours().add(index, address).replace();
        request
            .link_layer_address(&mac.octets)
            .execute()
            .await
            .map_err(Error::request(|| format!("make the neighbour {address} known")))
    }
}
