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
//! The host's own routes know the first segment only: what concerns the others is netpath's. The second
//! and third NIC are known to netpath by their Ethernet addresses; or, in a stacked fabric, the first one
//! is a bond, and the second one a VLAN on it that the agent makes.

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
    /// How many nodes: one, or two.
    pub nodes: usize,
    /// What else stands in the nodes' configuration.
    pub more: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self { attach: "auto", swapped: false, all: false, nodes: NODES.len(), more: "" }
    }
}

/// What the nodes' NICs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nics {
    /// A cable each.
    Plain,
    /// A bond of two cables, a VLAN on it, and a cable.
    Stacked,
}

/// The number of a stacked fabric's VLAN.
const VLAN: u16 = 7;
/// What it is called on the second node, which has it before the agent starts.
pub const FOREIGN_VLAN: &str = "blue";

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
        Self::build_on(programs, plan, Nics::Plain)
    }

    /// The same with NICs on NICs.
    pub fn build_stacked(programs: &Programs, plan: Plan) -> Result<Self> {
        Self::build_on(programs, plan, Nics::Stacked)
    }

    fn build_on(programs: &Programs, plan: Plan, nics: Nics) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("npf{}-{}-", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let create = |name: &str, settings: &[(&str, &str)]| create(&prefix, name, settings);
        let ipvlan = kernel::has_ipvlan(&format!("{prefix}scratch"))?;
        let router = create("router", &ROUTER)?;
        segments(&router, nics)?;
        let address = Subnet::REMOTE.host(10);
        let remote = Place { name: "remote", namespace: create("remote", &[])?, address };
        cable(&router, "remote", (&remote.namespace, "eth0", None), None)?;
        gateway(&router, "remote", Subnet::REMOTE)?;
        number(&remote.namespace, "eth0", (address, Subnet::REMOTE), true)?;

        let mut nodes = Vec::new();
        for (name, number) in NODES.into_iter().take(plan.nodes) {
            let namespace = create(name, &NODE)?;
            let node = Place { name, namespace, address: Subnet::NODES.host(number) };
            furnish(&router, &node, number, nics)?;
            nodes.push(node);
        }
        let mut pods = Vec::new();
        for (node, (_, last)) in NODES.iter().enumerate().take(plan.nodes) {
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
            .zip(NODES)
            .map(|(node, (_, number))| {
                let unique = format!("{prefix}{}", node.name);
                let settings = settings(plan, nics, number);
                Files::write(&folder.path().join(node.name), &unique, &settings)
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
        for at in 0..fabric.nodes.len() {
            fabric.start_agent(at)?;
            if nics == Nics::Stacked && at == 0 {
                fabric.number(at, 1)?;
            }
        }
        fabric.pods.iter().try_for_each(|pod| fabric.add(pod))?;
        Ok(fabric)
    }

    /// Starts the agent of a node, with what the last one left.
    pub fn start_agent(&mut self, node: usize) -> Result<()> {
        let agent = Agent::start(&self.programs, &self.nodes[node], &self.files[node])?;
        self.agents.insert(node, agent);
        Ok(())
    }

    /// Runs `netpath-agent cleanup` on a node, whose agent has ended.
    pub fn cleanup(&self, node: usize) -> Result<String> {
        agent::cleanup(&self.programs, &self.nodes[node], &self.files[node])
    }

    /// Takes a NIC out of a node.
    pub fn unplug(&self, node: usize, segment: usize) -> Result<()> {
        self.router.ip(&[format!("link del {}", port(&self.nodes[node], segment))])
    }

    /// Puts it in again, with what a node's own tools give it.
    pub fn plug_in(&self, node: usize, segment: usize) -> Result<()> {
        plug(&self.router, &self.nodes[node], NODES[node].1, segment)?;
        self.number(node, segment)
    }

    /// Gives a node its address on a NIC.
    pub fn number(&self, node: usize, segment: usize) -> Result<()> {
        let (subnet, _) = SUBNETS[segment];
        let own = (self.address_of(node, segment), subnet);
        number(&self.nodes[node].namespace, &nic(segment), own, segment == 0)
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

/// The router's end of the cable to a NIC.
fn port(node: &Place, segment: usize) -> String {
    format!("{}-{segment}", node.name)
}

/// The Ethernet address of a NIC.
fn mac(number: u8, segment: usize) -> String {
    format!("02:00:00:00:{number:02x}:{segment:02x}")
}

fn settings(plan: Plan, nics: Nics, number: u8) -> Settings {
    let (first, second) =
        if plan.swapped { ("macvlan", "ipvlan-l2") } else { ("ipvlan-l2", "macvlan") };
    let parent = |segment: usize, more: &str| {
        let (nodes, pods) = SUBNETS[segment];
        let prefixes = [nodes, pods].map(|subnet| Family::BOTH.map(|family| subnet.prefix(family)));
        let routers = Family::BOTH.map(|family| pods.gateway().of(family).to_string());
        let device = match (nics, segment) {
            (Nics::Stacked, 1) => format!("vlan = {{ on = {:?}, id = {VLAN} }}", nic(0)),
            _ => format!("mac = {:?}", mac(number, segment)),
        };
        format!(
            "[[parent]]\nname = {:?}\n{device}\nsubnets = {:?}\nrouters = {routers:?}\n{more}\n",
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
            + "[[parent]]\nname = \"eth4\"\nattachment = \"exclusive\"\n"
            + plan.more,
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
fn segments(router: &Namespace, nics: Nics) -> Result<()> {
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

/// A node's NICs and addresses, the one that is given away without. It finds pods on its first segment by
/// itself.
fn furnish(router: &Namespace, node: &Place, last: u8, nics: Nics) -> Result<()> {
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
