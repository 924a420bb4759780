//! Creating ipvlan children.

use rtnetlink::{
    LinkIpVlan,
    packet_route::link::{IpVlanFlags, IpVlanMode},
};

use crate::netlink::{Error, Namespace, Netlink};

/// How the ipvlan port of a parent switches. The kernel keeps one value for all children of a
/// parent, and the last one written holds for all (`ipvlan_link_new`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanFlags {
    /// Siblings are switched in the driver.
    Bridge,
    /// Every unicast frame goes out by the parent (Linux 4.15).
    Vepa,
}

impl Netlink {
    /// Creates an ipvlan child in L2 mode, under its final name and in its final namespace at
    /// once: moving and renaming later costs a grace period each.
    pub async fn add_ipvlan(
        &self,
        parent: u32,
        name: &str,
        namespace: &Namespace,
        flags: IpvlanFlags,
    ) -> Result<(), Error> {
        let flags = match flags {
            IpvlanFlags::Bridge => IpVlanFlags::empty(),
            IpvlanFlags::Vepa => IpVlanFlags::Vepa,
        };
        let message = LinkIpVlan::new(name, parent, IpVlanMode::L2)
            .flag(flags)
            .setns_by_fd(namespace.fd())
            .build();
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(Error::request(|| format!("create ipvlan interface {name}")))
    }
}
