//! The sandbox's network: a VPC router, a remote host behind it, two nodes and their pods.
//!
//! ```text
//!  remote 10.9.0.10 --- router 10.9.0.1
//!                       router bridge "vpc" 10.0.0.1 10.0.1.1 10.0.2.1   (one L2 segment)
//!                         |                 |
//!              node1 eth0 10.0.0.11   node2 eth0 10.0.0.12
//!                a1 a2 b1               a3 a4 b2       pods: 10.0.1.x (a) and 10.0.2.x (b)
//! ```

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;

use super::{
    address::{Dual, Family, SERVICE, Subnet},
    namespace::Namespace,
};

/// The parent NIC's name on a node and the interface's name in a pod.
pub const INTERFACE: &str = "eth0";

/// Someone who can send and be asked: a node, a pod or the remote host.
#[derive(Debug)]
pub struct Place {
    /// The name in tables.
    pub name: &'static str,
    /// Where its sockets live.
    pub namespace: Namespace,
    /// Its own address.
    pub address: Dual,
}

impl Place {
    /// Name, namespace and address.
    #[must_use]
    pub const fn parts(&self) -> (&str, &Namespace, Dual) {
        let Self { name, namespace, address } = self;
        (*name, namespace, *address)
    }
}

/// A pod: its interface is made by `plain`, or by the agent.
#[derive(Debug)]
pub struct Pod {
    /// The pod as a place.
    pub place: Place,
    /// Index of its node.
    pub node: usize,
    /// The subnet that its address is from.
    pub subnet: Subnet,
}

/// The whole network; everything is deleted when it is dropped.
#[derive(Debug)]
pub struct Topology {
    /// The pods of all nodes.
    pub pods: Vec<Pod>,
    /// The nodes.
    pub nodes: Vec<Place>,
    /// The host in another subnet.
    pub remote: Place,
    /// The VPC router; `ip -n` names its ports after who is behind them.
    pub router: Namespace,
    /// MTU of every link, in bytes.
    pub mtu: u32,
    /// What the names of this sandbox's namespaces start with; unique on the machine.
    pub prefix: String,
}

const NODES: [(&str, u8); 2] = [("node1", 11), ("node2", 12)];

const PODS: [(&str, usize, Subnet, u8); 6] = [
    ("a1", 0, Subnet::A, 11),
    ("a2", 0, Subnet::A, 12),
    ("b1", 0, Subnet::B, 11),
    ("a3", 1, Subnet::A, 21),
    ("a4", 1, Subnet::A, 22),
    ("b2", 1, Subnet::B, 21),
];

/// Settings of every namespace. They come before the links: a link copies `default`.
pub(super) const EVERYWHERE: [(&str, &str); 4] = [
    // Addresses are usable at once: nobody else is on this network.
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/dad_transmits", "0"),
    // Ping sockets, which are matched by the kernel, for the group that runs the sandbox.
    ("ipv4/ping_group_range", "0 0"),
];

/// A node as Kubernetes leaves it: forwarding, and strict source checks.
pub(super) const NODE: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
];

pub(super) const ROUTER: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    // A VPC router routes between the subnets of one segment and never says "go there directly".
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
];

/// IPv6 has no switch for sending redirects, so the pods do not listen to them.
pub(super) const POD: [(&str, &str); 2] =
    [("ipv6/conf/all/accept_redirects", "0"), ("ipv6/conf/default/accept_redirects", "0")];

impl Topology {
    /// Builds everything but the pods' interfaces.
    pub fn build(mtu: u32) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("np{}-{}-", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let create = |name: &str, settings: &[(&str, &str)]| {
            let namespace = Namespace::create(&format!("{prefix}{name}"))?;
            namespace.sysctl(&EVERYWHERE)?;
            namespace.sysctl(settings)?;
            anyhow::Ok(namespace)
        };

        let router = create("router", &ROUTER)?;
        build_segment(&router, mtu)?;

        let remote = Place {
            name: "remote",
            namespace: create("remote", &[])?,
            address: Subnet::REMOTE.host(10),
        };
        connect(&router, &remote, mtu, None)?;
        let Dual { v4, v6 } = Subnet::REMOTE.gateway();
        router.ip(&[
            format!("addr add {v4}/24 dev remote"),
            format!("addr add {v6}/64 dev remote nodad"),
        ])?;
        address(&remote, Subnet::REMOTE)?;

        let mut nodes = Vec::new();
        for (name, number) in NODES {
            let namespace = create(name, &NODE)?;
            let node = Place { name, namespace, address: Subnet::NODES.host(number) };
            connect(&router, &node, mtu, Some("vpc"))?;
            address(&node, Subnet::NODES)?;
            node.namespace.ip(&node_routes())?;
            nodes.push(node);
        }

        let mut pods = Vec::new();
        for (name, node, subnet, number) in PODS {
            let place =
                Place { name, namespace: create(name, &POD)?, address: subnet.host(number) };
            pods.push(Pod { place, node, subnet });
        }
        Ok(Self { pods, nodes, remote, router, mtu, prefix })
    }

    /// Gives a node whose interface was deleted a new one, with what a node has.
    pub fn plug_in(&self, node: &Place) -> Result<()> {
        connect(&self.router, node, self.mtu, Some("vpc"))?;
        address(node, Subnet::NODES)?;
        node.namespace.ip(&pod_routes())
    }

    /// Gives every pod a plain ipvlan L2 interface, as the ipvlan CNI plugin does.
    pub fn add_plain_pods(&self) -> Result<()> {
        self.add_plain(|_| true)
    }

    /// The same for some of the pods.
    pub fn add_plain(&self, which: impl Fn(&Pod) -> bool) -> Result<()> {
        for pod in self.pods.iter().filter(|pod| which(pod)) {
            plug_child(&self.nodes[pod.node], pod, "ipvlan mode l2")?;
        }
        Ok(())
    }

    /// Takes the plain interfaces away again.
    pub fn remove_plain_pods(&self) -> Result<()> {
        for pod in &self.pods {
            pod.place.namespace.ip(&[format!("link del {INTERFACE}")])?;
        }
        Ok(())
    }

    /// Everyone who can send: nodes, pods, remote.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.nodes
            .iter()
            .chain(self.pods.iter().map(|pod| &pod.place))
            .chain(std::iter::once(&self.remote))
    }

    /// The place of that name.
    ///
    /// # Panics
    /// When the name is not in the plan: the tables of the tests are fixed.
    #[must_use]
    pub fn place(&self, name: &str) -> &Place {
        self.places()
            .find(|place| place.name == name)
            .unwrap_or_else(|| panic!("no place {name} in the sandbox"))
    }

    /// Index of the node that a place is or runs on; the remote host has none.
    #[must_use]
    pub fn node_of(&self, name: &str) -> Option<usize> {
        let pod = self.pods.iter().find(|pod| pod.place.name == name).map(|pod| pod.node);
        pod.or_else(|| self.nodes.iter().position(|node| node.name == name))
    }
}

/// The router's bridge: one L2 segment with the gateways of three subnets.
fn build_segment(router: &Namespace, mtu: u32) -> Result<()> {
    // Snooping would hold back neighbour solicitations until it has heard from the listeners.
    let mut lines = vec![
        "link add vpc type bridge stp_state 0 forward_delay 0 mcast_snooping 0".to_owned(),
        format!("link set vpc mtu {mtu} up"),
    ];
    for subnet in [Subnet::NODES, Subnet::A, Subnet::B] {
        let Dual { v4, v6 } = subnet.gateway();
        lines.push(format!("addr add {v4}/24 dev vpc"));
        lines.push(format!("addr add {v6}/64 dev vpc nodad"));
    }
    router.ip(&lines)
}

/// Gives a pod an interface that is a child of the node's, of this kind in the words of `ip`.
pub(super) fn plug_child(node: &Place, pod: &Pod, kind: &str) -> Result<()> {
    let Pod { place: place @ Place { name, namespace, .. }, node: _, subnet } = pod;
    // Old kernels refuse a name that is taken where the parent is: renamed on arrival.
    node.namespace.ip(&[format!(
        "link add link {INTERFACE} name {name} netns {} type {kind}",
        namespace.name()
    )])?;
    namespace.ip(&[format!("link set {name} name {INTERFACE}")])?;
    address(place, *subnet)
}

/// A cable from the router's port, named after the place, to the place's interface.
pub(super) fn connect(
    router: &Namespace,
    place: &Place,
    mtu: u32,
    bridge: Option<&str>,
) -> Result<()> {
    let Place { name, namespace, .. } = place;
    let mut lines = vec![
        format!(
            "link add {name} mtu {mtu} type veth peer name {INTERFACE} mtu {mtu} netns {}",
            namespace.name()
        ),
        format!("link set {name} up"),
    ];
    lines.extend(bridge.map(|bridge| format!("link set {name} master {bridge}")));
    router.ip(&lines)
}

/// Addresses and default routes of a place's interface.
pub(super) fn address(place: &Place, subnet: Subnet) -> Result<()> {
    let Dual { v4, v6 } = place.address;
    let gateway = subnet.gateway();
    place.namespace.ip(&[
        "link set lo up".to_owned(),
        format!("addr add {v4}/24 dev {INTERFACE}"),
        format!("addr add {v6}/64 dev {INTERFACE} nodad"),
        format!("link set {INTERFACE} up"),
        format!("route add default via {} dev {INTERFACE}", gateway.v4),
        format!("route add ::/0 via {} dev {INTERFACE}", gateway.v6),
    ])
}

/// A node serves an address that is not on the fabric, and finds pods on its own segment.
fn node_routes() -> Vec<String> {
    let mut lines = vec![
        format!("addr add {}/32 dev lo", SERVICE.v4),
        format!("addr add {}/128 dev lo nodad", SERVICE.v6),
    ];
    lines.extend(pod_routes());
    lines
}

/// Pods are on the node's own segment.
pub(super) fn pod_routes() -> Vec<String> {
    let routes = |subnet: Subnet| {
        Family::BOTH.map(|family| format!("route add {} dev {INTERFACE}", subnet.prefix(family)))
    };
    [Subnet::A, Subnet::B].into_iter().flat_map(routes).collect()
}
