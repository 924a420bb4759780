//! Creating veth pairs.

use netpath_common::Mac;
use rtnetlink::{
    LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_route::link::{InfoData, InfoVeth},
};

use crate::netlink::{Error, Namespace, Netlink};

impl Netlink {
    /// Creates a veth pair: one end here, the other one of the same name in a namespace at once. Both
    /// are down, with these Ethernet addresses and this MTU in bytes.
    pub async fn add_veth(
        &self,
        name: &str,
        mac: Mac,
        (namespace, peer_mac): (&Namespace, Mac),
        mtu: u32,
    ) -> Result<(), Error> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(name.to_owned())
            .address(peer_mac.octets.to_vec())
            .mtu(mtu)
            .setns_by_fd(namespace.fd())
            .build();
        let message = LinkVeth::new(name, name)
            .address(mac.octets.to_vec())
            .mtu(mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        self.create(message, || format!("create the veth pair {name}")).await
    }
}
