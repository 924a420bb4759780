//! A pod's interface: what is particular to each kind.

use netpath_common::{Mac, endpoint::DEVICE_MAC};

use super::{Error, Nic};
use crate::netlink::{
    IpvlanFlags, IpvlanMode, IpvlanPort, Link, LinkKind, MacvlanMode, Namespace, Netlink,
};

/// The kind of child, and how it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Child {
    /// ipvlan.
    Ipvlan(IpvlanMode, IpvlanFlags),
    /// macvlan.
    Macvlan {
        /// How it reaches its siblings.
        mode: MacvlanMode,
        /// Its Ethernet address.
        mac: Mac,
    },
    /// One end of a veth pair, which is no child of the parent.
    Veth {
        /// Its Ethernet address.
        mac: Mac,
    },
    /// A NIC of its own.
    Nic(Nic),
}

impl Child {
    /// Whether the interface that is there is of its kind.
    pub(super) fn is_kind_of(&self, link: &Link) -> bool {
        match self {
            Self::Ipvlan(..) => link.kind == LinkKind::Ipvlan,
            Self::Macvlan { .. } => link.kind == LinkKind::Macvlan,
            Self::Veth { .. } => link.kind == LinkKind::Veth,
            // Whatever the driver.
            Self::Nic(_) => true,
        }
    }

    /// Whether the interface that is there may be it, on a parent.
    pub(super) fn is(&self, link: &Link, parent: u32) -> bool {
        match self {
            Self::Veth { mac } => link.mac == Some(*mac),
            Self::Nic(nic) => link.mac == Some(nic.mac()),
            _ => link.lower == Some(parent),
        }
    }

    /// What it is called.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ipvlan(..) => "ipvlan",
            Self::Macvlan { .. } => "macvlan",
            Self::Veth { .. } => "veth",
            Self::Nic(_) => "NIC",
        }
    }

    /// Creates it in a namespace, for a parent of this index and MTU.
    pub(super) async fn create(
        &self,
        home: &Netlink,
        (parent, mtu): (u32, u32),
        (name, mark): (&str, &str),
        namespace: &Namespace,
    ) -> Result<(), Error> {
        match self {
            Self::Ipvlan(mode, flags) => {
                home.add_ipvlan(parent, name, namespace, (*mode, *flags)).await?;
            }
            Self::Macvlan { mode, mac } => {
                home.add_macvlan(parent, name, namespace, *mode, *mac).await?;
            }
            Self::Veth { mac } => home.add_veth(name, DEVICE_MAC, (namespace, *mac), mtu).await?,
            Self::Nic(nic) => nic.enter(home, (name, mark), namespace).await?,
        }
        Ok(())
    }

    /// Takes it out of the namespace.
    pub(super) async fn remove(&self, there: &Netlink, index: u32) -> Result<(), Error> {
        match self {
            Self::Nic(nic) => nic.leave(there, index).await,
            _ => Ok(there.delete_link(index).await?),
        }
    }

    /// How it switches, in words, and how the one that is there does, if that differs.
    pub(super) fn other_mode(&self, link: &Link) -> Option<(String, String)> {
        let unknown = || "unknown".to_owned();
        match self {
            Self::Ipvlan(mode, flags) => {
                let port = IpvlanPort { mode: *mode, flags: Some(*flags) };
                let found = link.ipvlan.map_or_else(unknown, describe);
                (link.ipvlan != Some(port)).then(|| (describe(port), found))
            }
            Self::Veth { .. } | Self::Nic(_) => None,
            Self::Macvlan { mode, .. } => {
                let word = |mode| match mode {
                    MacvlanMode::Bridge => "bridge".to_owned(),
                    MacvlanMode::Vepa => "vepa".to_owned(),
                };
                let found = link.macvlan.map_or_else(unknown, word);
                (link.macvlan != Some(*mode)).then(|| (word(*mode), found))
            }
        }
    }

    /// Makes an existing one switch as it should.
    pub(super) async fn switch(&self, there: &Netlink, index: u32) -> Result<(), Error> {
        match self {
            Self::Ipvlan(mode, flags) => there.set_ipvlan(index, (*mode, *flags)).await?,
            Self::Macvlan { mode, .. } => there.set_macvlan_mode(index, *mode).await?,
            Self::Veth { .. } | Self::Nic(_) => {}
        }
        Ok(())
    }

    /// The Ethernet address that it is to have, if it is not the parent's.
    pub(super) const fn mac(&self) -> Option<Mac> {
        match self {
            Self::Ipvlan(..) => None,
            Self::Macvlan { mac, .. } | Self::Veth { mac } => Some(*mac),
            Self::Nic(nic) => Some(nic.mac()),
        }
    }
}

fn describe(port: IpvlanPort) -> String {
    let mode = port.mode.name();
    let flags = match port.flags {
        Some(IpvlanFlags::Vepa) => "vepa",
        Some(IpvlanFlags::Bridge) => "bridge",
        None => "private",
    };
    format!("{mode} {flags}")
}
