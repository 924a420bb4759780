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

mod cluster;
mod nics;
mod plan;
mod segment;
mod services;
mod settings;

use std::{
    net::IpAddr,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

pub(super) use self::segment::{cable, create, gateway, number};
pub use self::{
    cluster::Cluster,
    nics::FOREIGN_VLAN,
    plan::{Plan, SEGMENTS, Sort, nic, subnet},
    services::Translate,
};
use self::{
    nics::{Nics, furnish},
    plan::{NODES, SUBNETS},
    segment::segments,
    settings::settings,
};
use super::{
    address::{Dual, Family, SERVICE, Subnet},
    agent::{self, Agent, Files, Programs},
    cgroup::Cgroups,
    kernel,
    namespace::Namespace,
    server::Server,
    topology::{NODE, POD, Place, ROUTER},
};
use crate::cni::Plugin;

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
    /// The cluster that they are in.
    pub cluster: Option<Cluster>,
    /// The nodes, with their addresses on the first segment.
    pub nodes: Vec<Place>,
    /// The host behind the router.
    pub remote: Place,
    /// The router; its ports are called after node and segment, `node1-0`.
    pub router: Namespace,
    /// What the names of its namespaces start with.
    pub prefix: String,
    _cgroups: Option<Cgroups>,
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

        let cgroups = match plan.services {
            Some(Translate::Auto) => Some(
                Cgroups::create(&prefix, &NODES.map(|(name, _)| name))?
                    .context("no cgroups of version 2 are mounted")?,
            ),
            Some(Translate::Packet) | None => None,
        };
        let create = |node: usize, name: &str, settings: &[(&str, &str)]| {
            let mut namespace = create(name, settings)?;
            if let Some(cgroups) = &cgroups {
                namespace.join(cgroups.node(node));
            }
            Ok::<_, anyhow::Error>(namespace)
        };
        let mut nodes = Vec::new();
        for (at, (name, number)) in NODES.into_iter().enumerate().take(plan.nodes) {
            let namespace = create(at, name, &NODE)?;
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
                let namespace = create(node, &name, &POD)?;
                namespace.ip(&["link set lo up".to_owned()])?;
                let address = SUBNETS[sort.segment].1.host(place + 10 * (last - 10));
                pods.push(Pod { name, namespace, address, node, sort });
            }
        }
        let folder = tempfile::Builder::new()
            .prefix("netpath-fabric-")
            .tempdir()
            .context("make a folder for the agents' files")?;
        let cluster = plan.cluster.then(|| Cluster::start(&remote, folder.path())).transpose()?;
        let files = nodes
            .iter()
            .zip(NODES)
            .enumerate()
            .map(|(at, (node, own))| {
                let unique = format!("{prefix}{}", node.name);
                let cgroup = cgroups.as_ref().map(|all| all.node(at).path());
                let settings = settings(plan, nics, own, (cgroup, cluster.as_ref()));
                Files::write(&folder.path().join(node.name), &unique, &settings)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut fabric = Self {
            agents: Vec::new(),
            files,
            programs: programs.clone(),
            pods,
            cluster,
            nodes,
            remote,
            router,
            prefix,
            _cgroups: cgroups,
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

    /// The CNI plugin.
    #[must_use]
    pub fn plugin(&self) -> Plugin {
        Plugin::new(self.programs.plugin())
    }

    /// Runs `netpath-agent cleanup` on a node, whose agent has ended.
    pub fn cleanup(&self, node: usize) -> Result<String> {
        agent::cleanup(&self.programs, &self.nodes[node], &self.files[node])
    }

    /// Gives a node its address on a NIC.
    pub fn number(&self, node: usize, segment: usize) -> Result<()> {
        let (subnet, _) = SUBNETS[segment];
        let own = (self.address_of(node, segment), subnet);
        number(&self.nodes[node].namespace, &nic(segment), own, segment == 0)
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
        places.map(Place::parts).chain(pods)
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
