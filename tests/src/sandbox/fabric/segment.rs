//! Segments, and the cables to them.

use anyhow::Result;

use super::{
    nics::{Nics, VLAN},
    plan::SUBNETS,
};
use crate::sandbox::{
    address::{Dual, Subnet},
    namespace::Namespace,
    topology::EVERYWHERE,
};

/// A namespace with the settings that all have, and more.
pub(in crate::sandbox) fn create(
    prefix: &str,
    name: &str,
    settings: &[(&str, &str)],
) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("{prefix}{name}"))?;
    namespace.sysctl(&EVERYWHERE)?;
    namespace.sysctl(settings)?;
    Ok(namespace)
}

/// The router's bridges, one a segment, with the gateways of both subnets.
pub(super) fn segments(router: &Namespace, nics: Nics) -> Result<()> {
    for (segment, (nodes, pods)) in SUBNETS.into_iter().enumerate() {
        let bridge = format!("seg{segment}");
        router.ip(&[
            format!("link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
            format!("link set {bridge} up"),
        ])?;
        gateway(router, &bridge, nodes)?;
        gateway(router, &bridge, pods)?;
    }
    if nics == Nics::Stacked {
        router.ip(&[
            format!("link add link seg0 name seg0.{VLAN} type vlan id {VLAN}"),
            format!("link set seg0.{VLAN} master seg1 up"),
        ])?;
    }
    Ok(())
}

/// Gives an interface of a router the subnet's gateway.
pub(in crate::sandbox) fn gateway(
    router: &Namespace,
    interface: &str,
    subnet: Subnet,
) -> Result<()> {
    let Dual { v4, v6 } = subnet.gateway();
    router.ip(&[
        format!("addr add {v4}/24 dev {interface}"),
        format!("addr add {v6}/64 dev {interface} nodad"),
    ])
}

/// A cable from a port of the router to an interface elsewhere.
pub(in crate::sandbox) fn cable(
    router: &Namespace,
    port: &str,
    (there, interface, mac): (&Namespace, &str, Option<&str>),
    bridge: Option<&str>,
) -> Result<()> {
    let address = mac.map_or_else(String::new, |mac| format!("address {mac}"));
    let netns = there.name();
    let mut lines = vec![
        format!("link add {port} type veth peer name {interface} {address} netns {netns}"),
        format!("link set {port} up"),
    ];
    lines.extend(bridge.map(|bridge| format!("link set {port} master {bridge}")));
    router.ip(&lines)?;
    there.ip(&["link set lo up".to_owned(), format!("link set {interface} up")])
}

/// Gives an interface its address and, with `default`, default routes to the subnet's gateway.
pub(in crate::sandbox) fn number(
    there: &Namespace,
    interface: &str,
    (own, subnet): (Dual, Subnet),
    default: bool,
) -> Result<()> {
    let Dual { v4, v6 } = subnet.gateway();
    let mut lines = vec![
        format!("addr add {}/24 dev {interface}", own.v4),
        format!("addr add {}/64 dev {interface} nodad", own.v6),
    ];
    if default {
        lines.push(format!("route add default via {v4}"));
        lines.push(format!("route add ::/0 via {v6}"));
    }
    there.ip(&lines)
}
