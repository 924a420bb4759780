//! Creating macvlan children.

use netpath_common::Mac;
use rtnetlink::{
    LinkMacVlan, LinkMessageBuilder,
    packet_route::link::{InfoKind, InfoMacVlan, MacVlanMode},
};

use crate::netlink::{Error, Namespace, Netlink};

/// How a macvlan child reaches its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// In the driver.
    Bridge,
    /// Every unicast frame goes out by the parent.
    Vepa,
}

impl MacvlanMode {
    /// What a child says of itself; `None`: a mode that netpath does not use.
    pub(super) fn read(infos: &[InfoMacVlan]) -> Option<Self> {
        infos.iter().find_map(|info| match info {
            InfoMacVlan::Mode(MacVlanMode::Bridge) => Some(Self::Bridge),
            InfoMacVlan::Mode(MacVlanMode::Vepa) => Some(Self::Vepa),
            _ => None,
        })
    }
}

impl From<MacvlanMode> for MacVlanMode {
    fn from(mode: MacvlanMode) -> Self {
        match mode {
            MacvlanMode::Bridge => Self::Bridge,
            MacvlanMode::Vepa => Self::Vepa,
        }
    }
}

impl Netlink {
    /// Creates a macvlan child with an Ethernet address, in its final namespace at once. Of its name
    /// holds what is said of [`Netlink::add_ipvlan`].
    pub async fn add_macvlan(
        &self,
        parent: u32,
        name: &str,
        namespace: &Namespace,
        mode: MacvlanMode,
        mac: Mac,
    ) -> Result<(), Error> {
        let message = LinkMacVlan::new(name, parent, mode.into())
            .address(mac.octets.to_vec())
            .setns_by_fd(namespace.fd())
            .build();
        self.create(message, || format!("create macvlan interface {name}")).await
    }

    /// Sets how an existing child reaches its siblings.
    pub async fn set_macvlan_mode(&self, index: u32, mode: MacvlanMode) -> Result<(), Error> {
        let message = LinkMessageBuilder::<LinkMacVlan>::new_with_info_kind(InfoKind::MacVlan)
            .index(index)
            .mode(mode.into());
        self.change(message.build(), || format!("set the mode of macvlan interface {index}")).await
    }
}
