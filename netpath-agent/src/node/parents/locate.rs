//! Which device a parent is today: the kernel numbers and names NICs anew at every boot.

use std::path::Path;

use netpath_common::Mac;

use crate::{
    config::{self, Identity, Vlan},
    netlink::{Link, LinkKind},
    node::ParentProblem,
    pci::{INTERFACES, PciAddress},
};

/// The device of a parent, if it is there.
pub(in crate::node) fn locate<'a>(
    parent: &config::Parent,
    configured: &[config::Parent],
    links: &'a [Link],
) -> Option<&'a Link> {
    match parent.identity() {
        Identity::Name(name) => by_name(name.as_str(), links),
        Identity::Mac(mac) => by_mac(mac, links),
        Identity::Pci(address) => links.iter().find(|link| place(link) == Some(address)),
        Identity::Vlan(vlan) => {
            let lower = lower(vlan, configured, links)?;
            links.iter().find(|link| is_vlan(link, vlan, lower))
        }
    }
}

/// The device that a VLAN is on, if it is there.
pub(super) fn lower<'a>(
    vlan: &Vlan,
    configured: &[config::Parent],
    links: &'a [Link],
) -> Option<&'a Link> {
    // A valid file has no VLAN on a VLAN: this goes no deeper.
    match configured.iter().find(|other| other.name == vlan.on) {
        Some(parent) => locate(parent, configured, links),
        None => by_name(vlan.on.as_str(), links),
    }
}

/// Whether a device is this VLAN.
pub(super) fn is_vlan(link: &Link, vlan: &Vlan, lower: &Link) -> bool {
    link.kind == LinkKind::Vlan && link.vlan == Some(vlan.id) && link.lower == Some(lower.index)
}

/// Why a parent's device is not there.
pub(super) fn absence(
    parent: &config::Parent,
    configured: &[config::Parent],
    links: &[Link],
) -> ParentProblem {
    let list = |show: &dyn Fn(&Link) -> Option<String>| {
        let there: Vec<_> = links
            .iter()
            .filter_map(|link| Some(format!("{} ({})", link.name, show(link)?)))
            .collect();
        if there.is_empty() { "none".to_owned() } else { there.join(", ") }
    };
    match parent.identity() {
        Identity::Name(_) => {
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            ParentProblem::Missing(names.join(", "))
        }
        Identity::Mac(mac) => ParentProblem::Unplugged {
            what: format!("the Ethernet address {mac}"),
            there: list(&|link| link.permanent.or(link.mac).map(|mac| mac.to_string())),
        },
        Identity::Pci(address) => ParentProblem::Unplugged {
            what: format!("the PCI address {address}"),
            there: list(&|link| place(link).map(|place| place.to_string())),
        },
        Identity::Vlan(vlan) => {
            let (on, id) = (vlan.on.clone(), vlan.id);
            if lower(vlan, configured, links).is_none() {
                ParentProblem::NoLower { on, id }
            } else if by_name(parent.name.as_str(), links).is_some() {
                ParentProblem::NameTaken { on, id }
            } else {
                ParentProblem::NotMade { on, id }
            }
        }
    }
}

fn by_name<'a>(name: &str, links: &'a [Link]) -> Option<&'a Link> {
    links.iter().find(|link| link.name == name)
}

/// What sits on another device has the address of that; and a bond has a member's, which nobody but
/// the bond can use.
fn by_mac(mac: Mac, links: &[Link]) -> Option<&Link> {
    let has = |link: &&Link| {
        let borrowed = matches!(
            link.kind,
            LinkKind::Vlan | LinkKind::Ipvlan | LinkKind::Macvlan | LinkKind::Bridge
        );
        !borrowed && (link.permanent == Some(mac) || link.mac == Some(mac))
    };
    let order = |link: &&Link| (link.port_of.is_some(), link.permanent != Some(mac));
    links.iter().filter(has).min_by_key(order)
}

fn place(link: &Link) -> Option<PciAddress> {
    PciAddress::of((&link.name, link.index), Path::new(INTERFACES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::parents::tests::{link, parent};

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn names(configured: &[config::Parent], links: &[Link]) -> Vec<String> {
        let find = |parent| locate(parent, configured, links);
        let name = |link: Option<&Link>| link.map_or("none".to_owned(), |link| link.name.clone());
        configured.iter().map(find).map(name).collect()
    }

    #[test]
    fn a_device_keeps_its_address_whatever_it_is_called() {
        let configured = [2, 3, 4, 5]
            .map(|last| config::Parent { mac: Some(mac(last)), ..parent(&format!("nic{last}")) });
        let links = [
            Link { kind: LinkKind::Vlan, mac: Some(mac(2)), lower: Some(8), ..link(7, "eth1.7") },
            Link { mac: Some(mac(2)), ..link(8, "eth1") },
            // Somebody gave it another address.
            Link { mac: Some(mac(9)), permanent: Some(mac(3)), ..link(9, "eth0") },
            Link { port_of: Some("bond".to_owned()), mac: Some(mac(4)), ..link(10, "eth2") },
            Link { kind: LinkKind::Bond, mac: Some(mac(4)), ..link(11, "bond0") },
        ];
        assert_eq!(names(&configured, &links), ["eth1", "eth0", "bond0", "none"]);
        let ParentProblem::Unplugged { what, there } = absence(&configured[3], &configured, &links)
        else {
            panic!("no such address");
        };
        assert_eq!(what, "the Ethernet address 02:00:00:00:00:05");
        assert!(there.contains("eth0 (02:00:00:00:00:03), eth2 ("), "{there}");
    }

    #[test]
    fn a_vlan_is_its_number_on_the_device_that_its_parent_is_today() {
        let vlan = |on: &str, id| Some(Vlan { on: on.parse().expect("name"), id });
        let configured = [
            config::Parent { mac: Some(mac(2)), ..parent("eth0") },
            config::Parent { vlan: vlan("eth0", 7), ..parent("blue") },
            config::Parent { vlan: vlan("eth1", 7), ..parent("red") },
            config::Parent { vlan: vlan("eth9", 7), ..parent("green") },
            config::Parent { vlan: vlan("eth0", 8), ..parent("eth1") },
        ];
        let child = |index, name: &str, lower| Link {
            kind: LinkKind::Vlan,
            vlan: Some(7),
            lower: Some(lower),
            ..link(index, name)
        };
        let mut links = vec![
            Link { mac: Some(mac(2)), ..link(8, "eth1") },
            Link { mac: Some(mac(3)), ..link(9, "eth0") },
            child(10, "any", 8),
        ];
        let found = names(&configured, &links);
        assert_eq!(found, ["eth1", "any", "none", "none", "none"]);
        let problems = [2, 3, 4].map(|at| absence(&configured[at], &configured, &links));
        let on = |name: &str| name.parse::<crate::name::InterfaceName>().expect("name");
        // Where there is a parent of that name, the VLAN is on it, not on the device of that name.
        let [red, green, eth1] = problems;
        assert_eq!(red, ParentProblem::NoLower { on: on("eth1"), id: 7 });
        assert_eq!(green, ParentProblem::NoLower { on: on("eth9"), id: 7 });
        assert_eq!(eth1, ParentProblem::NameTaken { on: on("eth0"), id: 8 });
        links.remove(0);
        assert_eq!(names(&configured, &links), ["none"; 5]);
    }
}
