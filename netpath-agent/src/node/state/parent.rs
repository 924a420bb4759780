//! A parent that is there.

use crate::{
    attachment::Attachment,
    config::{self, Switching},
    endpoint::{Child, Record},
    name::InterfaceName,
    netlink::{IpvlanFlags, IpvlanMode, Link, MacvlanMode},
};

/// A configured parent and the device it was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// What was configured.
    pub config: config::Parent,
    /// The device.
    pub link: Link,
}

impl Parent {
    /// What the kernel calls its device. It takes control characters as well; a name with one is good
    /// for nothing here.
    #[must_use]
    pub fn device(&self) -> InterfaceName {
        self.link.name.clone().try_into().unwrap_or_else(|_| self.config.name.clone())
    }

    /// What the interface of an endpoint on it is to be.
    pub(super) fn child(&self, record: &Record) -> Option<Child> {
        let driver = self.config.switching == Switching::Driver;
        let ipvlan = |mode| {
            Child::Ipvlan(mode, if driver { IpvlanFlags::Bridge } else { IpvlanFlags::Vepa })
        };
        Some(match record.attachment {
            Attachment::IpvlanL2 => ipvlan(IpvlanMode::L2),
            Attachment::IpvlanL3 => ipvlan(IpvlanMode::L3),
            Attachment::IpvlanL3s => ipvlan(IpvlanMode::L3s),
            Attachment::Macvlan => Child::Macvlan {
                mode: if driver { MacvlanMode::Bridge } else { MacvlanMode::Vepa },
                mac: record.mac()?,
            },
            Attachment::PolicyRoute => Child::Veth { mac: record.mac()? },
            Attachment::Exclusive => Child::Nic(record.nic.clone()?),
        })
    }
}
