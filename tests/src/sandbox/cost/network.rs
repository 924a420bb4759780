//! One node with two pods, and a host at the other end of its cable.
//!
//! ```text
//!  external 10.0.0.1 10.0.1.1 ──────── eth0 10.0.0.11 node
//!                                           pod1 10.0.1.11   pod2 10.0.1.12
//! ```
//!
//! Nothing is in between that would take its part of every round trip.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;

use crate::sandbox::{
    address::{Dual, Family, Subnet},
    namespace::Namespace,
    topology::{self, EVERYWHERE, INTERFACE, NODE, POD, Place, Pod},
};

/// Ethernet address of the node's end of each pod's cable, and of the pod's.
const NODE_MAC: &str = "02:00:00:00:00:01";
const POD_MAC: &str = "02:00:00:00:00:02";
/// Bytes.
const MTU: u32 = 1500;

/// What an agent may be told of the wire: its subnets, and the external host for a router.
pub(super) fn of_the_wire() -> String {
    let subnets = [Subnet::NODES, Subnet::A];
    let prefixes = subnets.map(|subnet| Family::BOTH.map(|family| subnet.prefix(family)));
    let routers = Family::BOTH.map(|family| Subnet::NODES.gateway().of(family).to_string());
    format!("table = 1000\nsubnets = {:?}\nrouters = {routers:?}\n", prefixes.concat())
}

/// The network; the pods' interfaces are still missing.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) external: Place,
    pub(super) node: Place,
    pub(super) pods: [Pod; 2],
    /// What the namespaces' names start with; unique on the machine.
    pub(super) prefix: String,
}

impl Network {
    pub(super) fn build() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("npc{}-{}-", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = |name, address, settings: &[(&str, &str)]| {
            let namespace = Namespace::create(&format!("{prefix}{name}"))?;
            namespace.sysctl(&EVERYWHERE)?;
            namespace.sysctl(settings)?;
            anyhow::Ok(Place { name, namespace, address })
        };
        let pod = |name, number| {
            let subnet = Subnet::A;
            anyhow::Ok(Pod { place: place(name, subnet.host(number), &POD)?, node: 0, subnet })
        };
        let external = place("external", Subnet::A.gateway(), &[])?;
        let node = place("node", Subnet::NODES.host(11), &NODE)?;
        topology::connect(&external.namespace, &node, MTU, None)?;
        for subnet in [Subnet::NODES, Subnet::A] {
            let Dual { v4, v6 } = subnet.gateway();
            external.namespace.ip(&[
                "link set lo up".to_owned(),
                format!("addr add {v4}/24 dev {}", node.name),
                format!("addr add {v6}/64 dev {} nodad", node.name),
            ])?;
        }
        topology::address(&node, Subnet::NODES)?;
        let pods = [pod("pod1", 11)?, pod("pod2", 12)?];
        Ok(Self { external, node, pods, prefix })
    }

    /// The node finds pods at its NIC.
    pub(super) fn add_pod_routes(&self) -> Result<()> {
        self.node.namespace.ip(&topology::pod_routes())
    }

    /// Makes the pods' interfaces children of the node's NIC, and one more child for the node to
    /// reach them by: the shim, which takes an address of their subnet. `kind` is in the words of
    /// `ip`.
    pub(super) fn add_children(&self, kind: &str) -> Result<()> {
        for pod in &self.pods {
            topology::plug_child(&self.node, pod, kind)?;
        }
        let Dual { v4, v6 } = Subnet::A.host(2);
        self.node.namespace.ip(&[
            format!("link add shim link {INTERFACE} type {kind}"),
            format!("addr add {v4}/24 dev shim"),
            format!("addr add {v6}/64 dev shim nodad"),
            "link set shim up".to_owned(),
        ])
    }

    /// Connects the pods to the node by veth pairs, for the host stack to route: addresses without
    /// a subnet, and nobody who would have to ask for a neighbour.
    pub(super) fn add_routed(&self) -> Result<()> {
        self.add_pod_routes()?;
        for Pod { place: Place { name, namespace, address }, .. } in &self.pods {
            let (pod, node) = (namespace.name(), &self.node.namespace);
            node.ip(&[
                format!(
                    "link add {name} address {NODE_MAC} type veth \
                     peer name {INTERFACE} address {POD_MAC} netns {pod}"
                ),
                format!("link set {name} up"),
            ])?;
            namespace.ip(&["lo", INTERFACE].map(|link| format!("link set {link} up")))?;
            for family in Family::BOTH {
                let own = address.of(family);
                let gateway = self.node.address.of(family);
                let (all, nodad) = match family {
                    Family::Ipv4 => ("0.0.0.0/0", ""),
                    Family::Ipv6 => ("::/0", "nodad"),
                };
                namespace.ip(&[
                    format!("addr add {own} dev {INTERFACE} {nodad}"),
                    format!("neigh add {gateway} lladdr {NODE_MAC} dev {INTERFACE}"),
                    format!("route add {gateway} dev {INTERFACE}"),
                    format!("route add {all} via {gateway} dev {INTERFACE}"),
                ])?;
                node.ip(&[
                    format!("route add {own} dev {name}"),
                    format!("neigh add {own} lladdr {POD_MAC} dev {name}"),
                ])?;
                self.external.namespace.ip(&[format!("route add {own} via {gateway}")])?;
            }
        }
        Ok(())
    }
}
