//! Creating VLANs.

use rtnetlink::{
    LinkVlan,
    packet_route::link::{InfoVlan, VlanProtocol},
};

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Creates the VLAN of a number on a device. It is down, and has that device's MTU.
    pub async fn add_vlan(&self, lower: u32, name: &str, number: u16) -> Result<(), Error> {
        let message = LinkVlan::new(name, lower, number).build();
        self.create(message, || format!("create VLAN interface {name}")).await
    }
}

/// The number of a VLAN; `None` if its tags are others than those of 802.1Q.
pub(super) fn number(infos: &[InfoVlan]) -> Option<u16> {
    let foreign = |info: &InfoVlan| matches!(info, InfoVlan::Protocol(protocol) if *protocol != VlanProtocol::Ieee8021Q);
    if infos.iter().any(foreign) {
        return None;
    }
    infos.iter().find_map(|info| match info {
        InfoVlan::Id(number) => Some(*number),
        _ => None,
    })
}
