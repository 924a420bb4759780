//! The NICs of a node: cables, or a bond and a VLAN on it; they can be taken out, and renamed.

use anyhow::Result;

use super::{
    Fabric,
    plan::{NODES, SEGMENTS, SUBNETS, nic},
    segment::{cable, number},
};
use crate::sandbox::{
    address::{Family, SERVICE, Subnet},
    namespace::Namespace,
    topology::Place,
};

/// What the nodes' NICs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nics {
    /// A cable each.
    Plain,
    /// A bond of two cables, a VLAN on it, and a cable.
    Stacked,
}

/// The number of a stacked fabric's VLAN.
pub(super) const VLAN: u16 = 7;
/// What it is called on the second node, which has it before the agent starts.
pub const FOREIGN_VLAN: &str = "blue";

impl Fabric {
    /// Takes a NIC out of a node.
    pub fn unplug(&self, node: usize, segment: usize) -> Result<()> {
        self.router.ip(&[format!("link del {}", port(&self.nodes[node], segment))])
    }

    /// Puts it in again, with what a node's own tools give it.
    pub fn plug_in(&self, node: usize, segment: usize) -> Result<()> {
        plug(&self.router, &self.nodes[node], NODES[node].1, segment)?;
        self.number(node, segment)
    }

    /// Has two of a node's NICs take each other's name, as they might at a boot.
    pub fn swap_names(&self, node: usize, [one, other]: [usize; 2]) -> Result<()> {
        let (one, other) = (nic(one), nic(other));
        let Place { namespace, .. } = &self.nodes[node];
        let names = [(&*one, "swap"), (&*other, &*one), ("swap", &*other)];
        namespace.ip(&[&one, &other].map(|name| format!("link set {name} down")))?;
        namespace.ip(&names.map(|(from, to)| format!("link set {from} name {to}")))?;
        namespace.ip(&[&one, &other].map(|name| format!("link set {name} up")))
    }

    /// Gives a NIC that went down its IPv6 address again.
    pub fn number_again(&self, node: usize, segment: usize, device: &str) -> Result<()> {
        let v6 = self.address_of(node, segment).v6;
        self.nodes[node].namespace.ip(&[format!("addr replace {v6}/64 dev {device} nodad")])
    }
}

/// A node's NICs and addresses, the one that is given away without. It finds pods on its first segment by
/// itself.
pub(super) fn furnish(router: &Namespace, node: &Place, last: u8, nics: Nics) -> Result<()> {
    for (segment, (nodes, _)) in SUBNETS.into_iter().enumerate() {
        let device = match (nics, segment) {
            // The agent makes it.
            (Nics::Stacked, 1) if node.name == NODES[0].0 => continue,
            (Nics::Stacked, 1) => foreign_vlan(node)?,
            (Nics::Stacked, 0) => bond(router, node, last)?,
            _ => plug(router, node, last, segment)?,
        };
        number(&node.namespace, &device, (nodes.host(last), nodes), segment == 0)?;
    }
    let given = (&node.namespace, &*nic(SEGMENTS), None);
    cable(router, &port(node, SEGMENTS), given, Some("seg3"))?;
    let mut lines = vec![
        format!("addr add {}/32 dev lo", SERVICE.v4),
        format!("addr add {}/128 dev lo nodad", SERVICE.v6),
    ];
    lines.extend(
        Family::BOTH.map(|family| format!("route add {} dev eth0", Subnet::A.prefix(family))),
    );
    node.namespace.ip(&lines)
}

/// A NIC of a node, and its cable. Returns what it is called, as the next ones do.
fn plug(router: &Namespace, node: &Place, number: u8, segment: usize) -> Result<String> {
    let (device, bridge, mac) = (nic(segment), format!("seg{segment}"), mac(number, segment));
    let end = (&node.namespace, &*device, Some(&*mac));
    cable(router, &port(node, segment), end, Some(&bridge))?;
    Ok(device)
}

/// A bond of two cables in place of a NIC.
fn bond(router: &Namespace, node: &Place, number: u8) -> Result<String> {
    let (device, mac) = (nic(0), mac(number, 0));
    node.namespace.ip(&[format!(
        "link add {device} address {mac} type bond mode active-backup miimon 100"
    )])?;
    for (member, port) in [("nic0", port(node, 0)), ("nic1", format!("{}-0b", node.name))] {
        cable(router, &port, (&node.namespace, member, None), Some("seg0"))?;
        node.namespace.ip(&[
            format!("link set {member} down"),
            format!("link set {member} master {device}"),
        ])?;
    }
    node.namespace.ip(&[format!("link set {device} up")])?;
    Ok(device)
}

/// A VLAN that the agent finds.
fn foreign_vlan(node: &Place) -> Result<String> {
    let device = FOREIGN_VLAN.to_owned();
    node.namespace.ip(&[
        format!("link add link {} name {device} type vlan id {VLAN}", nic(0)),
        format!("link set {device} up"),
    ])?;
    Ok(device)
}

/// The router's end of the cable to a NIC.
fn port(node: &Place, segment: usize) -> String {
    format!("{}-{segment}", node.name)
}

/// The Ethernet address of a NIC.
pub(super) fn mac(number: u8, segment: usize) -> String {
    format!("02:00:00:00:{number:02x}:{segment:02x}")
}
