//! Nodes with four NICs, each on a segment of its own with a router of its own, and pods of every
//! attachment on each node.
//!
//! ```text
//!  remote 10.9.0.10 --- router
//!                       bridge seg0     seg1            seg2            seg3
//!                       10.0.0/1.1      10.0.10/11.1    10.0.20/21.1    10.0.30/31.1
//!              node1    eth0 .0.11      eth1 .10.11     eth2 .20.11     eth3 .30.11
//!                       ipvlan-l2,      macvlan,        ipvlan-l3,      ipvlan-l3s
//!                       policy-route    policy-route    policy-route by
//!                                                       the host stack  eth4 -> exclusive
//! ```
//!
//! The host's own routes know the first segment only: what concerns the others is netpath's.

use std::{
    net::IpAddr,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{
    address::{Dual, Family, SERVICE, Subnet},
    agent::{self, Agent, Files, Programs, Settings},
    kernel,
    namespace::Namespace,
    server::Server,
    topology::{EVERYWHERE, NODE, POD, Place, ROUTER},
};

/// Segments, and NICs of a node.
pub const SEGMENTS: usize = 4;

/// The nodes' subnet on a segment, and the pods'.
const SUBNETS: [(Subnet, Subnet); SEGMENTS] = [
    (Subnet::NODES, Subnet::A),
    (Subnet::NODES2, Subnet::PODS2),
    (Subnet::NODES3, Subnet::PODS3),
    (Subnet::NODES4, Subnet::PODS4),
];

const NODES: [(&str, u8); 2] = [("node1", 11), ("node2", 12)];

/// A kind of pod: the first letters of its names, its segment, its attachment, and whether the host
/// stack carries its packets.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// What its pods are called, before the number of their node.
    pub letter: &'static str,
    /// Its NIC and segment.
    pub segment: usize,
    /// As in the configuration.
    pub attachment: &'static str,
    /// Not accelerated.
    pub stack: bool,
}

const SORTS: [Sort; 8] = [
    Sort { letter: "i", segment: 0, attachment: "ipvlan-l2", stack: false },
    Sort { letter: "p", segment: 0, attachment: "policy-route", stack: false },
    Sort { letter: "m", segment: 1, attachment: "macvlan", stack: false },
    Sort { letter: "q", segment: 1, attachment: "policy-route", stack: false },
    Sort { letter: "s", segment: 2, attachment: "policy-route", stack: true },
    Sort { letter: "l", segment: 2, attachment: "ipvlan-l3", stack: false },
    Sort { letter: "t", segment: 3, attachment: "ipvlan-l3s", stack: false },
    Sort { letter: "x", segment: 3, attachment: "exclusive", stack: true },
];

impl Sort {
    /// Whether it takes its parent away.
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        self.attachment == "exclusive"
    }

    fn parent(self) -> String {
        nic(if self.is_exclusive() { SEGMENTS } else { self.segment })
    }
}

/// How the nodes are set up.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The generation of TC hooks, as in the configuration.
    pub attach: &'static str,
    /// ipvlan in L2 mode and macvlan change their places.
    pub swapped: bool,
    /// There are pods by the other modes of ipvlan, and with a NIC of their own, as well.
    pub all: bool,
}

/// The pods' subnet on a segment.
#[must_use]
pub const fn subnet(segment: usize) -> Subnet {
    SUBNETS[segment].1
}

impl Plan {
    fn sorts(self) -> impl Iterator<Item = Sort> {
        let wanted = move |sort: &Sort| self.all || !matches!(sort.letter, "l" | "t" | "x");
        SORTS.into_iter().filter(wanted).map(move |sort| match sort.letter {
            "i" | "m" if self.swapped => Sort { segment: 1 - sort.segment, ..sort },
            _ => sort,
        })
    }
}

/// A pod.
#[derive(Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where its sockets live.
    pub namespace: Namespace,
    /// Its address.
    pub address: Dual,
    /// Index of its node.
    pub node: usize,
    /// What it is.
    pub sort: Sort,
}

/// The network and the agents; everything is deleted when it is dropped.
#[derive(Debug)]
pub struct Fabric {
    /// One running agent a node.
    pub agents: Vec<Agent>,
    files: Vec<Files>,
    programs: Programs,
    /// The pods of all nodes.
    pub pods: Vec<Pod>,
    /// The nodes, with their addresses on the first segment.
    pub nodes: Vec<Place>,
    /// The host behind the router.
    pub remote: Place,
    /// The router; its ports are called after node and segment, `node1-0`.
    pub router: Namespace,
    /// What the names of its namespaces start with.
    pub prefix: String,
    _folder: TempDir,
}

impl Fabric {
    /// Builds everything, with agents that run and pods that are attached. Where the kernel has no
    /// ipvlan there are no pods of that kind.
    pub fn build(programs: &Programs, plan: Plan) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("npf{}-{}-", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let create = |name: &str, settings: &[(&str, &str)]| create(&prefix, name, settings);
        let ipvlan = kernel::has_ipvlan(&format!("{prefix}scratch"))?;
        let router = create("router", &ROUTER)?;
        segments(&router)?;
        let address = Subnet::REMOTE.host(10);
        let remote = Place { name: "remote", namespace: create("remote", &[])?, address };
        cable(&router, "remote", &remote.namespace, "eth0", None)?;
        gateway(&router, "remote", Subnet::REMOTE)?;
        number(&remote.namespace, "eth0", (address, Subnet::REMOTE), true)?;

        let mut nodes = Vec::new();
        for (name, number) in NODES {
            let namespace = create(name, &NODE)?;
            let node = Place { name, namespace, address: Subnet::NODES.host(number) };
            furnish(&router, &node, number)?;
            nodes.push(node);
        }
        let mut pods = Vec::new();
        for (node, (_, last)) in NODES.iter().enumerate() {
            for (place, sort) in (20..).zip(plan.sorts()) {
                if sort.attachment.starts_with("ipvlan") && !ipvlan {
                    continue;
                }
                let name = format!("{}{}", sort.letter, node + 1);
                let namespace = create(&name, &POD)?;
                namespace.ip(&["link set lo up".to_owned()])?;
                let address = SUBNETS[sort.segment].1.host(place + 10 * (last - 10));
                pods.push(Pod { name, namespace, address, node, sort });
            }
        }
        let folder = tempfile::Builder::new()
            .prefix("netpath-fabric-")
            .tempdir()
            .context("make a folder for the agents' files")?;
        let files = nodes
            .iter()
            .map(|node| {
                let unique = format!("{prefix}{}", node.name);
                Files::write(&folder.path().join(node.name), &unique, &settings(plan))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut fabric = Self {
            agents: Vec::new(),
            files,
            programs: programs.clone(),
            pods,
            nodes,
            remote,
            router,
            prefix,
            _folder: folder,
        };
        for (node, files) in fabric.nodes.iter().zip(&fabric.files) {
            fabric.agents.push(Agent::start(programs, node, files)?);
        }
        fabric.pods.iter().try_for_each(|pod| fabric.add(pod))?;
        Ok(fabric)
    }

    /// Attaches a pod.
    pub fn add(&self, pod: &Pod) -> Result<()> {
        let (netns, parent) = (pod.namespace.path(), pod.sort.parent());
        let gateway = SUBNETS[pod.sort.segment].1.gateway();
        let (v4, v6) = (format!("{}/24", pod.address.v4), format!("{}/64", pod.address.v6));
        let (gateway4, gateway6) = (gateway.v4.to_string(), gateway.v6.to_string());
        let netns = netns.to_string_lossy();
        let mut words = vec!["endpoint", "add", &pod.name, "--netns", &netns, "--parent", &parent];
        words.extend(["--attachment", pod.sort.attachment, "--address", &v4, "--address", &v6]);
        words.extend(["--gateway", &gateway4, "--gateway", &gateway6]);
        self.agents[pod.node].netpath(&words).map(drop).with_context(|| pod.name.clone())
    }

    /// A node's address on a segment.
    #[must_use]
    pub fn address_of(&self, node: usize, segment: usize) -> Dual {
        SUBNETS[segment].0.host(NODES[node].1)
    }

    /// Starts everybody's servers.
    pub fn start_servers(&self) -> Result<Vec<Server>> {
        self.places()
            .map(|(name, namespace, own)| {
                let service = self.nodes.iter().any(|node| node.name == name).then_some(SERVICE);
                let duals = [Some(own), service];
                let addresses: Vec<IpAddr> = duals
                    .iter()
                    .flatten()
                    .flat_map(|dual| Family::BOTH.map(|family| dual.of(family)))
                    .collect();
                Server::start(namespace, &addresses)
            })
            .collect()
    }

    /// Everybody who can be asked, by name, with the namespace and the address.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Namespace, Dual)> {
        let places = self.nodes.iter().chain([&self.remote]);
        let pods = self.pods.iter().map(|pod| (&*pod.name, &pod.namespace, pod.address));
        places.map(|place| (place.name, &place.namespace, place.address)).chain(pods)
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.agents.clear();
        for (node, files) in self.nodes.iter().zip(&self.files) {
            if files.pins.exists()
                && let Err(error) = agent::cleanup(&self.programs, node, files)
            {
                eprintln!("netpath-sandbox: cleanup of {}: {error:#}", node.name);
            }
        }
    }
}

/// What the NIC on a segment is called.
#[must_use]
pub fn nic(segment: usize) -> String {
    format!("eth{segment}")
}

fn settings(plan: Plan) -> Settings {
    let (first, second) =
        if plan.swapped { ("macvlan", "ipvlan-l2") } else { ("ipvlan-l2", "macvlan") };
    let parent = |segment: usize, more: &str| {
        let (nodes, pods) = SUBNETS[segment];
        let prefixes = [nodes, pods].map(|subnet| Family::BOTH.map(|family| subnet.prefix(family)));
        let routers = Family::BOTH.map(|family| pods.gateway().of(family).to_string());
        format!(
            "[[parent]]\nname = {:?}\nsubnets = {:?}\nrouters = {routers:?}\n{more}\n",
            nic(segment),
            prefixes.concat()
        )
    };
    Settings {
        attachment: first.to_owned(),
        attach: plan.attach.to_owned(),
        // Questions of half a second a pod are others' to test.
        more: "[announce]\nprobe = false\nannouncements = 0\n".to_owned()
            + &parent(1, &format!("attachment = {second:?}"))
            + &parent(2, "attachment = \"policy-route\"\naccelerate = false")
            + &parent(3, "attachment = \"ipvlan-l3s\"")
            + "[[parent]]\nname = \"eth4\"\nattachment = \"exclusive\"\n",
        ..Settings::default()
    }
}

/// A namespace with the settings that all have, and more.
pub(super) fn create(prefix: &str, name: &str, settings: &[(&str, &str)]) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("{prefix}{name}"))?;
    namespace.sysctl(&EVERYWHERE)?;
    namespace.sysctl(settings)?;
    Ok(namespace)
}

/// The router's bridges, one a segment, with the gateways of both subnets.
fn segments(router: &Namespace) -> Result<()> {
    for (segment, (nodes, pods)) in SUBNETS.into_iter().enumerate() {
        let bridge = format!("seg{segment}");
        router.ip(&[
            format!("link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
            format!("link set {bridge} up"),
        ])?;
        gateway(router, &bridge, nodes)?;
        gateway(router, &bridge, pods)?;
    }
    Ok(())
}

/// Gives an interface of a router the subnet's gateway.
pub(super) fn gateway(router: &Namespace, interface: &str, subnet: Subnet) -> Result<()> {
    let Dual { v4, v6 } = subnet.gateway();
    router.ip(&[
        format!("addr add {v4}/24 dev {interface}"),
        format!("addr add {v6}/64 dev {interface} nodad"),
    ])
}

/// A cable from a port of the router to an interface elsewhere.
pub(super) fn cable(
    router: &Namespace,
    port: &str,
    there: &Namespace,
    interface: &str,
    bridge: Option<&str>,
) -> Result<()> {
    let mut lines = vec![
        format!("link add {port} type veth peer name {interface} netns {}", there.name()),
        format!("link set {port} up"),
    ];
    lines.extend(bridge.map(|bridge| format!("link set {port} master {bridge}")));
    router.ip(&lines)?;
    there.ip(&["link set lo up".to_owned(), format!("link set {interface} up")])
}

/// Gives an interface its address and, with `default`, default routes to the subnet's gateway.
pub(super) fn number(
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

/// A node's NICs and addresses, the one that is given away without. It finds pods on its first segment by itself.
fn furnish(router: &Namespace, node: &Place, last: u8) -> Result<()> {
    for (segment, (nodes, _)) in SUBNETS.into_iter().enumerate() {
        let (port, bridge) = (format!("{}-{segment}", node.name), format!("seg{segment}"));
        cable(router, &port, &node.namespace, &nic(segment), Some(&bridge))?;
        number(&node.namespace, &nic(segment), (nodes.host(last), nodes), segment == 0)?;
    }
    let port = format!("{}-{SEGMENTS}", node.name);
    cable(router, &port, &node.namespace, &nic(SEGMENTS), Some("seg3"))?;
    let mut lines = vec![
        format!("addr add {}/32 dev lo", SERVICE.v4),
        format!("addr add {}/128 dev lo nodad", SERVICE.v6),
    ];
    lines.extend(
        Family::BOTH.map(|family| format!("route add {} dev eth0", Subnet::A.prefix(family))),
    );
    node.namespace.ip(&lines)
}
