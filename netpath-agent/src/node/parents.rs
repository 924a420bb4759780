//! The parents and the node's own addresses, as the kernel has them.

mod locate;
pub(super) mod vlan;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use self::locate::absence;
pub(super) use self::locate::locate;
use super::{Error, Parent, ParentProblem, entry};
use crate::{
    attachment::Attachment,
    config,
    endpoint::Nic,
    name::InterfaceName,
    netlink::{HostAddress, Link, LinkKind},
};

/// The configured parents that are there, but those that are given away whole.
pub(super) fn find(
    configured: &[config::Parent],
    links: &[Link],
) -> BTreeMap<InterfaceName, Parent> {
    configured
        .iter()
        .filter(|config| config.attachment != Attachment::Exclusive)
        .filter_map(|config| {
            let link = locate(config, configured, links)?;
            let parent = Parent { config: config.clone(), link: link.clone() };
            Some((config.name.clone(), parent))
        })
        .collect()
}

/// The NICs that are there to be given away, as they are.
pub(super) fn nics(
    configured: &[config::Parent],
    links: &[Link],
    addresses: &[HostAddress],
) -> BTreeMap<InterfaceName, Nic> {
    let whole = configured.iter().filter(|config| config.attachment == Attachment::Exclusive);
    let found = whole.filter_map(|config| {
        let link = locate(config, configured, links)?;
        let own = addresses.iter().filter(|address| address.index == link.index);
        // The kernel makes link-local addresses anew.
        let own = own.filter(|host| !is_link_local(host.address));
        let own = own.filter_map(|host| IpNet::new(host.address, host.prefix_len).ok());
        Some((config.name.clone(), Nic::new(link, own.collect())))
    });
    found.collect()
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether endpoints can be carried: by some parent now, and by the others when they are plugged in or
/// set up. What nobody could mend but by another configuration is an error in any case.
pub(super) fn check(configured: &[config::Parent], links: &[Link]) -> Result<(), Error> {
    let (mut fit, mut unfit) = (false, None);
    for parent in configured {
        match problem(parent, configured, links) {
            None | Some(ParentProblem::NotMade { .. }) => {
                fit |= parent.attachment != Attachment::Exclusive;
            }
            Some(problem) => {
                let passes = problem.may_pass();
                let error = Error::parent(parent, problem);
                if !passes {
                    return Err(error);
                }
                unfit.get_or_insert(error);
            }
        }
    }
    unfit.filter(|_| !fit).map_or(Ok(()), Err)
}

/// Why a device can not carry endpoints, or be given to one, if it can not.
pub(super) fn problem(
    parent: &config::Parent,
    configured: &[config::Parent],
    links: &[Link],
) -> Option<ParentProblem> {
    let whole = parent.attachment == Attachment::Exclusive;
    let Some(link) = locate(parent, configured, links) else {
        // A pod may have it.
        return (!whole).then(|| absence(parent, configured, links));
    };
    let others = configured.iter().take_while(|other| other.name != parent.name);
    let is_this = |other: &&config::Parent| locate(other, configured, links) == Some(link);
    if let Some(other) = others.into_iter().find(is_this) {
        return Some(ParentProblem::Shared {
            device: link.name.clone(),
            other: other.name.clone(),
        });
    }
    // The link of a VLAN or a veth leads elsewhere too: only a child's own kind tells.
    let other = |child: &&Link| {
        matches!(child.kind, LinkKind::Ipvlan | LinkKind::Macvlan)
            && parent.attachment != Attachment::PolicyRoute
            && child.kind != parent.attachment.kind()
            && child.lower == Some(link.index)
    };
    let child = links.iter().find(other);
    match link {
        Link { kind: LinkKind::Ipvlan | LinkKind::Macvlan, .. } => Some(ParentProblem::Child),
        Link { kind: LinkKind::Bridge, .. } => Some(ParentProblem::Bridge),
        Link { loopback: true, .. } | Link { mac: None, .. } => Some(ParentProblem::NotEthernet),
        Link { port_of: Some(kind), .. } => Some(ParentProblem::Port(kind.clone())),
        Link { up: false, .. } if !whole => {
            Some(ParentProblem::Down(lowest_down(link, links).name.clone()))
        }
        _ => child.map(|child| ParentProblem::OtherChild {
            name: child.name.clone(),
            kind: if child.kind == LinkKind::Ipvlan { "ipvlan" } else { "macvlan" },
            wanted: parent.attachment.name(),
        }),
    }
}

/// Which of two is to be set up: a VLAN can not be without the device that it is on.
fn lowest_down<'a>(link: &'a Link, links: &'a [Link]) -> &'a Link {
    let below =
        |other: &&Link| link.kind == LinkKind::Vlan && link.lower == Some(other.index) && !other.up;
    links.iter().find(below).unwrap_or(link)
}

/// The addresses under which the node itself is reached: those of every device, but loopback's,
/// the kernel entry's, and the link-local IPv6 addresses of devices that are no parents, which
/// mean nothing outside their link.
pub(super) fn host_addresses(
    addresses: &[HostAddress],
    parents: &BTreeMap<InterfaceName, Parent>,
) -> BTreeSet<IpAddr> {
    let is_parent = |index| parents.values().any(|parent| parent.link.index == index);
    addresses
        .iter()
        .filter(|HostAddress { index, address, .. }| match address {
            _ if address.is_loopback() => false,
            IpAddr::V4(v4) => *v4 != entry::ADDRESS,
            IpAddr::V6(v6) => !v6.is_unicast_link_local() || is_parent(*index),
        })
        .map(|host| host.address)
        .collect()
}

/// The node's addresses on each of its parents.
pub(super) fn own_addresses(
    addresses: &[HostAddress],
    parents: &BTreeMap<InterfaceName, Parent>,
) -> BTreeMap<u32, Vec<IpAddr>> {
    let mut own: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for HostAddress { index, address, .. } in addresses {
        if parents.values().any(|parent| parent.link.index == *index) {
            own.entry(*index).or_default().push(*address);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use netpath_common::Mac;

    use super::*;

    pub(super) fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some(Mac::new([2, 0, 0, 0, 0, 1])),
            permanent: None,
            mtu: 1500,
            up: true,
            loopback: false,
            kind: LinkKind::Other,
            ipvlan: None,
            macvlan: None,
            vlan: None,
            port_of: None,
            lower: None,
            alias: None,
        }
    }

    pub(super) fn parent(text: &str) -> config::Parent {
        config::Parent {
            name: name(text),
            mac: None,
            pci: None,
            vlan: None,
            subnets: Vec::new(),
            routers: Vec::new(),
            table: None,
            attachment: Attachment::default(),
            switching: config::Switching::Parent,
            accelerate: true,
            xdp: config::Xdp::Off,
        }
    }

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("name")
    }

    fn alone(parent: &config::Parent, links: &[Link]) -> Option<ParentProblem> {
        problem(parent, std::slice::from_ref(parent), links)
    }

    #[test]
    fn every_unfit_device_is_told_why() {
        let links = [
            link(1, "good"),
            Link { up: false, ..link(2, "down") },
            Link { loopback: true, ..link(3, "lo") },
            Link { mac: None, ..link(4, "tun0") },
            Link { port_of: Some("bridge".to_owned()), ..link(5, "port") },
            link(6, "master"),
            Link { kind: LinkKind::Macvlan, lower: Some(6), ..link(7, "macvlan0") },
            Link { kind: LinkKind::Bridge, ..link(8, "br0") },
            Link { kind: LinkKind::Veth, lower: Some(1), ..link(9, "veth0") },
            Link { kind: LinkKind::Vlan, lower: Some(2), up: false, ..link(10, "down.7") },
        ];
        let other = ParentProblem::OtherChild {
            name: "macvlan0".to_owned(),
            kind: "macvlan",
            wanted: "ipvlan-l2",
        };
        for (device, expected) in [
            ("good", None),
            ("veth0", None),
            ("down", Some(ParentProblem::Down("down".to_owned()))),
            ("down.7", Some(ParentProblem::Down("down".to_owned()))),
            ("lo", Some(ParentProblem::NotEthernet)),
            ("tun0", Some(ParentProblem::NotEthernet)),
            ("port", Some(ParentProblem::Port("bridge".to_owned()))),
            ("master", Some(other)),
            ("macvlan0", Some(ParentProblem::Child)),
            ("br0", Some(ParentProblem::Bridge)),
        ] {
            assert_eq!(alone(&parent(device), &links), expected, "{device}");
        }
        // What is amiss for one kind of child is none for the other.
        let macvlan = config::Parent { attachment: Attachment::Macvlan, ..parent("master") };
        assert_eq!(alone(&macvlan, &links), None);
        let missing = alone(&parent("eth9"), &links[..2]);
        assert_eq!(missing, Some(ParentProblem::Missing("good, down".to_owned())));
    }

    #[test]
    fn what_may_come_later_keeps_no_other_parent_from_its_work() {
        let links = [
            link(1, "good"),
            Link { up: false, ..link(2, "down") },
            Link { port_of: Some("bridge".to_owned()), ..link(3, "port") },
        ];
        let starts = |names: &[&str]| {
            let configured: Vec<_> = names.iter().map(|name| parent(name)).collect();
            check(&configured, &links).map_err(|error| error.to_string())
        };
        assert_eq!(starts(&["eth9", "good", "down"]), Ok(()));
        for (names, culprit) in [
            (&["eth9"][..], "eth9"),
            (&["down", "eth9"], "down"),
            (&["good", "port"], "port"),
            (&["port", "good"], "port"),
        ] {
            let error = starts(names).expect_err("unfit");
            assert!(error.starts_with(&format!("parent {culprit}: ")), "{error}");
        }
        let same = [parent("good"), config::Parent { mac: link(1, "").mac, ..parent("again") }];
        let shared = ParentProblem::Shared { device: "good".to_owned(), other: name("good") };
        assert_eq!(problem(&same[1], &same, &links[..1]), Some(shared));
    }

    #[test]
    fn the_nodes_addresses_are_those_it_is_reached_by() {
        let parents = find(&[parent("eth0")], &[link(2, "eth0"), link(3, "eth1")]);
        let addresses: Vec<_> = [
            (1, "127.0.0.1"),
            (1, "::1"),
            (2, "10.0.0.1"),
            (2, "fe80::2"),
            (3, "10.0.1.1"),
            (3, "fe80::3"),
            (4, "169.254.20.10"),
            (5, "169.254.0.41"),
        ]
        .into_iter()
        .map(|(index, text)| HostAddress {
            index,
            address: text.parse().expect("address"),
            prefix_len: 24,
        })
        .collect();
        let found: Vec<_> =
            host_addresses(&addresses, &parents).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1", "10.0.1.1", "169.254.20.10", "fe80::2"]);
    }
}
