//! Forgetting neighbours.

use std::net::IpAddr;

use rtnetlink::packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage},
};

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Forgets a neighbour; one that is not known is no error.
    pub async fn forget_neighbour(&self, index: u32, address: IpAddr) -> Result<(), Error> {
        self.delete_neighbour(index, address, NeighbourFlags::empty()).await
    }

    /// Deletes an entry of the kind that the flags say; one that is not there is no error.
    pub(super) async fn delete_neighbour(
        &self,
        index: u32,
        address: IpAddr,
        flags: NeighbourFlags,
    ) -> Result<(), Error> {
        let (family, destination) = match address {
            IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
            IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
        };
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.header.ifindex = index;
        message.header.flags = flags;
        message.attributes.push(NeighbourAttribute::Destination(destination));
        match self.handle.neighbours().del(message).execute().await {
            Ok(()) => Ok(()),
            // The library hands the acknowledgement, which has no error number, on as an error.
            Err(rtnetlink::Error::NetlinkError(answer)) if answer.code.is_none() => Ok(()),
            Err(error) => {
                let error = Error::request(|| format!("forget the neighbour {address}"))(error);
                if error.errno() == Some(nix::libc::ENOENT) { Ok(()) } else { Err(error) }
            }
        }
    }
}
