//! The loopback device as kernel entry. It needs no device and no address, but the node's own rules and
//! firewalls take what comes by it for the node's own: pods inherit that trust.

use std::fs;

use super::{ALIAS, Entry, set};
use crate::{
    netlink::{Link, Netlink},
    node::Error,
};

/// Its name.
const NAME: &str = "lo";

/// Loose, as for a device of our own.
const SYSCTLS: [(&str, &str); 3] = [
    ("ipv4/conf/lo/rp_filter", "2"),
    ("ipv4/conf/lo/forwarding", "1"),
    ("ipv6/conf/lo/forwarding", "1"),
];

/// Makes it fit, and tells what was not.
pub(super) async fn ensure(netlink: &Netlink) -> Result<(Entry, Vec<String>), Error> {
    let mut repaired = Vec::new();
    let link = find(netlink).await?;
    if link.alias.as_deref() != Some(ALIAS) {
        repaired.push(format!("alias of {NAME}"));
        netlink.set_alias(link.index, ALIAS).await?;
        tracing::warn!("this kernel has no dummy devices: the kernel entry is {NAME}");
    }
    for (name, value) in SYSCTLS {
        if set(name, value)? {
            repaired.push(format!("sysctl {name}"));
        }
    }
    if !link.up {
        repaired.push(format!("state of {NAME}"));
        netlink.set_up(link.index).await?;
    }
    let entry = Entry { name: NAME, ifindex: link.index, mac: link.mac.unwrap_or_default() };
    Ok((entry, repaired))
}

/// Gives it back with the settings of a new device, if it was taken.
pub(super) async fn release(netlink: &Netlink) -> Result<Option<&'static str>, Error> {
    let link = find(netlink).await?;
    if link.alias.as_deref() != Some(ALIAS) {
        return Ok(None);
    }
    for (name, _) in SYSCTLS {
        let default = name.replace("/lo/", "/default/");
        if let Ok(value) = fs::read_to_string(format!("/proc/sys/net/{default}")) {
            set(name, value.trim())?;
        }
    }
    netlink.set_alias(link.index, "").await?;
    Ok(Some(NAME))
}

async fn find(netlink: &Netlink) -> Result<Link, Error> {
    netlink.link_by_name(NAME).await?.ok_or(Error::EntryTaken(NAME))
}
