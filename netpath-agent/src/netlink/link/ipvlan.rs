//! Creating ipvlan children.

use rtnetlink::{
    LinkIpVlan, LinkMessageBuilder,
    packet_route::link::{InfoIpVlan, InfoKind, IpVlanFlags, IpVlanMode},
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

/// What an ipvlan child's port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpvlanPort {
    /// L2 mode.
    pub l2: bool,
    /// How it switches; `None`: in a way that netpath does not use (private).
    pub flags: Option<IpvlanFlags>,
}

impl From<Vec<InfoIpVlan>> for IpvlanPort {
    fn from(infos: Vec<InfoIpVlan>) -> Self {
        let mut port = Self { l2: false, flags: Some(IpvlanFlags::Bridge) };
        for info in infos {
            match info {
                InfoIpVlan::Mode(mode) => port.l2 = mode == IpVlanMode::L2,
                InfoIpVlan::Flags(IpVlanFlags::Vepa) => port.flags = Some(IpvlanFlags::Vepa),
                InfoIpVlan::Flags(flags) if !flags.is_empty() => port.flags = None,
                _ => {}
            }
        }
        port
    }
}

impl From<IpvlanFlags> for IpVlanFlags {
    fn from(flags: IpvlanFlags) -> Self {
        match flags {
            IpvlanFlags::Bridge => Self::empty(),
            IpvlanFlags::Vepa => Self::Vepa,
        }
    }
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
        let message = LinkIpVlan::new(name, parent, IpVlanMode::L2)
            .flag(flags.into())
            .setns_by_fd(namespace.fd())
            .build();
        self.create(message, || format!("create ipvlan interface {name}")).await
    }

    /// Sets L2 mode and how the port of an existing child switches, its siblings included.
    pub async fn set_ipvlan_flags(&self, index: u32, flags: IpvlanFlags) -> Result<(), Error> {
        let message = LinkMessageBuilder::<LinkIpVlan>::new_with_info_kind(InfoKind::IpVlan)
            .index(index)
            .mode(IpVlanMode::L2)
            .flag(flags.into());
        self.change(message.build(), || format!("set the flags of ipvlan interface {index}")).await
    }
}
