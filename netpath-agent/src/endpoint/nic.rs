//! A NIC that a pod has to itself: into the pod's namespace, and back as it was.
//!
//! A namespace that dies leaves its NICs to the machine's first one, under the name that they had in
//! it or one of the kernel's making: there they are found by their mark.

use ipnet::IpNet;
use netpath_common::Mac;
use serde::{Deserialize, Serialize};

use super::{Error, Record};
use crate::netlink::{self, Link, Namespace, Netlink};

/// What a NIC is on the node, to be that again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Bytes of its largest packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whose it is.
    pub alias: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
}

impl Nic {
    /// A NIC as it is.
    #[must_use]
    pub fn new(link: &Link, addresses: Vec<IpNet>) -> Self {
        Self {
            name: link.name.clone(),
            mac: link.mac.unwrap_or_default().octets,
            mtu: link.mtu,
            up: link.up,
            alias: link.alias.clone(),
            addresses,
        }
    }

    /// Its Ethernet address.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        Mac::new(self.mac)
    }

    /// Moves it from the node into a namespace, under another name. It is marked first: whatever
    /// happens, it is found again.
    pub(super) async fn enter(
        &self,
        home: &Netlink,
        (name, mark): (&str, &str),
        namespace: &Namespace,
    ) -> Result<(), Error> {
        let links = home.links().await?;
        let marked = links.iter().find(|link| link.alias.as_deref() == Some(mark));
        let link = marked.or_else(|| links.iter().find(|link| link.name == self.name));
        let index = link.ok_or_else(|| Error::NoNic(self.name.clone()))?.index;
        home.set_alias(index, mark).await?;
        Ok(home.move_link(index, name, namespace).await?)
    }

    /// Moves it home, by whoever is in the namespace where it is.
    pub(super) async fn leave(&self, there: &Netlink, index: u32) -> Result<(), Error> {
        Ok(there.move_link(index, &self.name, &Namespace::home()?).await?)
    }

    /// Makes it what it was, wherever on the node its mark is found; tells whether it was. The mark
    /// goes last.
    pub(super) async fn settle(&self, home: &Netlink, mark: &str) -> Result<bool, netlink::Error> {
        let links = home.links().await?;
        let marked = links.into_iter().find(|link| link.alias.as_deref() == Some(mark));
        let Some(Link { index, .. }) = marked else { return Ok(false) };
        home.restore_link(index, &self.name, self.mac(), self.mtu).await?;
        for address in &self.addresses {
            match home.add_address(index, *address).await {
                Err(error) if error.errno() == Some(nix::libc::EEXIST) => {}
                added => added?,
            }
        }
        if self.up {
            home.set_up(index).await?;
        }
        home.set_alias(index, self.alias.as_deref().unwrap_or_default()).await?;
        Ok(true)
    }
}

/// Has the kernel announce the interface's addresses when it goes up, from inside the namespace: nobody
/// on the node is on its wire.
pub(super) fn announce(interface: &str) {
    for file in [
        format!("/proc/sys/net/ipv4/conf/{interface}/arp_notify"),
        format!("/proc/sys/net/ipv6/conf/{interface}/ndisc_notify"),
    ] {
        if let Err(error) = std::fs::write(&file, "1") {
            tracing::warn!(file, %error, "its addresses are not announced");
        }
    }
}

/// The mark of an endpoint's NIC.
#[must_use]
pub fn nic_mark(record: &Record) -> String {
    format!("netpath-nic:{}", record.spec.name)
}

/// Makes an endpoint's NIC what it was, if it is back on the node; tells whether it was.
pub async fn settle_nic(record: &Record, home: &Netlink) -> Result<bool, netlink::Error> {
    match &record.nic {
        Some(nic) => nic.settle(home, &nic_mark(record)).await,
        None => Ok(false),
    }
}
