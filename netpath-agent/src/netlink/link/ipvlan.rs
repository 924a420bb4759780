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

/// What ipvlan children do with the headers of the link layer. As its flags, it is one value for all
/// children of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// They are on the parent's link, and ask it for neighbours.
    L2,
    /// The parent's host routes what they send.
    L3,
    /// The same, and what they receive crosses the host's netfilter (`CONFIG_IPVLAN_L3S`).
    L3s,
}

/// What an ipvlan child's port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpvlanPort {
    /// Its mode.
    pub mode: IpvlanMode,
    /// How it switches; `None`: in a way that netpath does not use (private).
    pub flags: Option<IpvlanFlags>,
}

impl IpvlanPort {
    pub(super) fn read(infos: Vec<InfoIpVlan>) -> Option<Self> {
        let (mut mode, mut flags) = (None, Some(IpvlanFlags::Bridge));
        for info in infos {
            match info {
                InfoIpVlan::Mode(IpVlanMode::L2) => mode = Some(IpvlanMode::L2),
                InfoIpVlan::Mode(IpVlanMode::L3) => mode = Some(IpvlanMode::L3),
                InfoIpVlan::Mode(IpVlanMode::L3S) => mode = Some(IpvlanMode::L3s),
                InfoIpVlan::Flags(IpVlanFlags::Vepa) => flags = Some(IpvlanFlags::Vepa),
                InfoIpVlan::Flags(other) if !other.is_empty() => flags = None,
                _ => {}
            }
        }
        mode.map(|mode| Self { mode, flags })
    }
}

impl IpvlanMode {
    /// The word that `ip` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::L3s => "l3s",
        }
    }
}

impl From<IpvlanMode> for IpVlanMode {
    fn from(mode: IpvlanMode) -> Self {
        match mode {
            IpvlanMode::L2 => Self::L2,
            IpvlanMode::L3 => Self::L3,
            IpvlanMode::L3s => Self::L3S,
        }
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
    /// Creates an ipvlan child, in its final namespace at once: to move it there later
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
        (mode, flags): (IpvlanMode, IpvlanFlags),
    ) -> Result<(), Error> {
        let message = LinkIpVlan::new(name, parent, mode.into())
            .flag(flags.into())
            .setns_by_fd(namespace.fd())
            .build();
        self.create(message, || format!("create ipvlan interface {name}")).await
    }

    /// Sets the mode of an existing child's port and how it switches, its siblings included.
    pub async fn set_ipvlan(
        &self,
        index: u32,
        (mode, flags): (IpvlanMode, IpvlanFlags),
    ) -> Result<(), Error> {
        let message = LinkMessageBuilder::<LinkIpVlan>::new_with_info_kind(InfoKind::IpVlan)
            .index(index)
            .mode(mode.into())
            .flag(flags.into());
        self.change(message.build(), || format!("set the mode of ipvlan interface {index}")).await
    }
}
