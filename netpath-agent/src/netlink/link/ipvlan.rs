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
    /// Creates an ipvlan child in L2 mode, in its final namespace at once: to move it there later
    /// would cost grace periods.
    ///
    /// The name must be free in this namespace as well: before Linux 6.13 the kernel looks it up
    /// where the request comes from (`rtnl_newlink`), and the parent is often called what the child
    /// shall be.
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
