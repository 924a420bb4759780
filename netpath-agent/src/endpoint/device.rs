//! The node's end of an endpoint's veth pair.

use std::net::IpAddr;

use ipnet::IpNet;
use netpath_common::Mac;

use super::{Error, Record, wiring};
use crate::{
    netlink::{Link, LinkKind, Netlink},
    pod::Mismatch,
};

/// What there should be on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    name: String,
    alias: String,
    mtu: u32,
    /// The endpoint's.
    mac: Mac,
    addresses: Vec<IpAddr>,
}

/// What the device of an endpoint is called.
#[must_use]
pub fn device_name(record: &Record) -> String {
    wiring::draft(record)
}

/// Whether a link of that name is the endpoint's device, by its mark.
#[must_use]
pub fn is_device(record: &Record, link: &Link) -> bool {
    link.kind == LinkKind::Veth && link.alias == Some(wiring::alias(record))
}

impl Device {
    pub(super) fn new(record: &Record, mtu: u32, mac: Mac) -> Self {
        let addresses = record.spec.addresses.iter().map(IpNet::addr).collect();
        let (name, alias) = (wiring::draft(record), wiring::alias(record));
        Self { name, alias, mtu, mac, addresses }
    }

    /// Makes it what it should be, and tells what was not.
    pub(super) async fn ensure(&self, home: &Netlink) -> Result<Vec<Mismatch>, Error> {
        let differences = self.differences(home).await?;
        let Some(link) = home.link_by_name(&self.name).await? else {
            return Err(Error::Vanished(self.name.clone()));
        };
        for (_, fix) in &differences {
            self.apply(home, link.index, fix).await?;
        }
        Ok(differences.into_iter().map(|(mismatch, _)| mismatch).collect())
    }

    /// What is not as it should be.
    pub(super) async fn inspect(&self, home: &Netlink) -> Result<Vec<Mismatch>, Error> {
        let differences = self.differences(home).await?;
        Ok(differences.into_iter().map(|(mismatch, _)| mismatch).collect())
    }

    async fn differences(&self, home: &Netlink) -> Result<Vec<(Mismatch, Fix)>, Error> {
        let name = &self.name;
        let mut list = Vec::new();
        let mut note = |what: String, expected: &str, found: &str, fix| {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            list.push((Mismatch { what, expected, found }, fix));
        };
        // Without it there is no pod's end either, which makes both anew.
        let Some(link) = home.link_by_name(name).await? else { return Ok(list) };
        if link.alias.as_ref() != Some(&self.alias) {
            let found = link.alias.as_deref().unwrap_or("none");
            note(format!("alias of {name}"), &self.alias, found, Fix::Alias);
        }
        if link.mtu != self.mtu {
            let (expected, found) = (self.mtu.to_string(), link.mtu.to_string());
            note(format!("MTU of {name}"), &expected, &found, Fix::Mtu);
        }
        if !link.up {
            note(format!("link {name}"), "up", "down", Fix::Up);
        }
        let neighbours = home.permanent_neighbours(link.index).await?;
        for address in &self.addresses {
            if !neighbours.contains(&(*address, self.mac)) {
                let what = format!("neighbour {address} on {name}");
                note(what, &self.mac.to_string(), "missing", Fix::Neighbour(*address));
            }
        }
        Ok(list)
    }

    async fn apply(&self, home: &Netlink, index: u32, fix: &Fix) -> Result<(), Error> {
        match fix {
            Fix::Alias => home.set_alias(index, &self.alias).await?,
            Fix::Mtu => home.set_mtu(index, self.mtu).await?,
            Fix::Up => {
                home.set_no_link_local(index).await?;
                home.set_up(index).await?;
            }
            Fix::Neighbour(address) => home.set_neighbour(index, *address, self.mac).await?,
        }
        Ok(())
    }
}

/// What puts a difference right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fix {
    Alias,
    Mtu,
    Up,
    Neighbour(IpAddr),
}
