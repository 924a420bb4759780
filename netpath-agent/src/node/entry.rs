//! The kernel entry: the device by which packets of the kernel path enter the host stack.
//!
//! A packet that is redirected to the ingress of a device without an `rx_handler` is taken by the
//! stack as received there; on the parent, ipvlan would take it for a child. A dummy device of our
//! own gives operators a name to write rules for (`ip rule iif netpath0`) and to `tcpdump` on. Where
//! the kernel has no dummy devices, the loopback device does the same service, see `loopback`.

mod loopback;

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net};
use netpath_common::Mac;

use super::Error;
use crate::netlink::{Link, LinkKind, Netlink};

/// The name of the device.
pub(crate) const NAME: &str = "netpath0";

/// Its only address. Without any, a packet received on it is dropped as soon as `rp_filter` is on
/// anywhere (`__fib_validate_source`: no address leads to the last resort). RFC 3927 reserves the
/// first 256 link-local addresses, so no host gives itself this one; nothing ever talks to it.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 41);

/// Before Linux 5.12 a redirect to ingress drops packets that are larger than the device's MTU.
const MTU: u32 = 65_535;

/// The mark that tells the device from others'.
const ALIAS: &str = "netpath kernel entry";

/// Loose: the way back to a pod leads by the parent, never by this device. The larger of this
/// value and that of `all` counts, so it stays loose where `all` is strict.
const SYSCTLS: [(&str, &str); 3] = [
    ("ipv4/conf/netpath0/rp_filter", "2"),
    ("ipv4/conf/netpath0/forwarding", "1"),
    ("ipv6/conf/netpath0/forwarding", "1"),
];

/// The kernel entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: &'static str,
    /// Its index.
    pub(super) ifindex: u32,
    /// Its Ethernet address.
    pub(super) mac: Mac,
}

/// Makes the device what it should be, and tells what was not. It can be called at any time.
pub(super) async fn ensure(netlink: &Netlink) -> Result<(Entry, Vec<String>), Error> {
    let mut repaired = Vec::new();
    let link = match netlink.link_by_name(NAME).await? {
        Some(link) if link.kind != LinkKind::Dummy => return Err(Error::EntryTaken(NAME)),
        Some(link) => link,
        None => match create(netlink).await? {
            Some(link) => {
                repaired.push(format!("link {NAME}"));
                link
            }
            None => return loopback::ensure(netlink).await,
        },
    };
    if link.alias.as_deref() != Some(ALIAS) {
        repaired.push(format!("alias of {NAME}"));
        netlink.set_alias(link.index, ALIAS).await?;
    }
    if link.mtu != MTU {
        repaired.push(format!("MTU of {NAME}"));
        netlink.set_mtu(link.index, MTU).await?;
    }
    if !link.up {
        netlink.set_no_link_local(link.index).await?;
    }
    for (name, value) in SYSCTLS {
        if set(name, value)? {
            repaired.push(format!("sysctl {name}"));
        }
    }
    let address = IpAddr::V4(ADDRESS);
    let there = netlink.addresses().await?;
    if !there.iter().any(|other| other.index == link.index && other.address == address) {
        repaired.push(format!("address {address} of {NAME}"));
        netlink.add_address(link.index, IpNet::V4(Ipv4Net::from(ADDRESS))).await?;
    }
    if !link.up {
        repaired.push(format!("state of {NAME}"));
        netlink.set_up(link.index).await?;
    }
    let entry = Entry { name: NAME, ifindex: link.index, mac: link.mac.unwrap_or_default() };
    Ok((entry, repaired))
}

/// Removes the device, if it is there and ours, and names it.
pub(super) async fn remove(netlink: &Netlink) -> Result<Option<&'static str>, Error> {
    match netlink.link_by_name(NAME).await? {
        Some(link) if link.kind == LinkKind::Dummy => {
            netlink.delete_link(link.index).await?;
            Ok(Some(NAME))
        }
        _ => loopback::release(netlink).await,
    }
}

/// Whether the host stack forwards IPv6 at all. Before Linux 6.17 a device's own setting does not
/// count without that of `all`, and changing it for the whole node is the operator's decision: it
/// also stops the node from listening to router advertisements.
pub(super) fn forwards_ipv6() -> bool {
    let value = fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding");
    value.map_or(true, |value| value.trim() != "0")
}

/// Creates the device; `None` if the kernel has none of its kind.
async fn create(netlink: &Netlink) -> Result<Option<Link>, Error> {
    match netlink.add_dummy(NAME).await {
        Err(error) if error.errno() == Some(nix::libc::EOPNOTSUPP) => return Ok(None),
        created => created?,
    }
    tracing::info!(interface = NAME, "created the kernel entry");
    netlink.link_by_name(NAME).await?.map(Some).ok_or(Error::EntryTaken(NAME))
}

/// Writes a sysctl where it differs, and tells whether it did. A kernel without IPv6 has no IPv6
/// sysctls.
fn set(name: &str, value: &str) -> Result<bool, Error> {
    let path = PathBuf::from("/proc/sys/net").join(name);
    let result = match fs::read_to_string(&path) {
        Ok(current) if current.trim() == value => Ok(false),
        Ok(_) => fs::write(&path, value).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    result.map_err(|source| Error::Sysctl { path, source })
}
