//! A sandbox with agents: the network, the files of the agents and the agents themselves.

use std::{fs, net::IpAddr, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    agent::{self, Agent, Files, Programs, Settings},
    table::{self, Pair, Row},
    together::together,
    topology::Topology,
};

/// Everything that a scenario needs; fields are dropped in order, agents before their network.
#[derive(Debug)]
pub struct Lab {
    /// One running agent per node, in the order of the topology's nodes.
    pub agents: Vec<Agent>,
    /// One set of files per node; they outlive a killed agent.
    pub files: Vec<Files>,
    /// The programs under test.
    pub programs: Programs,
    /// The network.
    pub topology: Topology,
    /// Where files of the lab may be put; deleted with it.
    pub folder: TempDir,
}

/// What moved on one node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeCounters {
    /// The node.
    pub node: &'static str,
    /// What `netpath counters -o json` printed.
    pub counters: Value,
}

impl Lab {
    /// A network without agents and without pod interfaces.
    pub fn build(programs: &Programs, settings: &Settings, mtu: u32) -> Result<Self> {
        let topology = Topology::build(mtu)?;
        let folder = tempfile::Builder::new()
            .prefix("netpath-sandbox-")
            .tempdir()
            .context("make a folder for the agents' files")?;
        let files = topology
            .nodes
            .iter()
            .map(|node| {
                let unique = format!("{}{}", topology.prefix, node.name);
                Files::write(&folder.path().join(node.name), &unique, settings)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { agents: Vec::new(), files, programs: programs.clone(), topology, folder })
    }

    /// Starts an agent on every node.
    pub fn start_agents(&mut self) -> Result<()> {
        let Self { agents, files, programs, topology, folder: _ } = self;
        for (node, files) in topology.nodes.iter().zip(files) {
            agents.push(Agent::spawn(programs, node, files)?);
        }
        // Side by side: loading programs takes seconds in an emulated guest.
        agents
            .iter_mut()
            .zip(&topology.nodes)
            .try_for_each(|(agent, node)| agent.wait().with_context(|| node.name))
    }

    /// Attaches every pod through the agent of its node: at once, since each waits half a second for
    /// somebody who might have its addresses.
    pub fn add_endpoints(&self) -> Result<()> {
        let adds =
            self.topology.pods.iter().map(|pod| {
                || self.agents[pod.node].add_endpoint(pod).with_context(|| pod.place.name)
            });
        together(adds)?.into_iter().collect()
    }

    /// A lab that is ready: agents running, pods attached.
    pub fn ready(programs: &Programs, settings: &Settings, mtu: u32) -> Result<Self> {
        let mut lab = Self::build(programs, settings, mtu)?;
        lab.start_agents()?;
        lab.add_endpoints()?;
        Ok(lab)
    }

    /// The table with plain ipvlan pods, which are gone again afterwards.
    pub fn table_before(&self) -> Result<Vec<Row>> {
        self.topology.add_plain_pods()?;
        let rows = table::measure(&self.topology, |pair| pair.plain, |_, _, _| Ok(None))?;
        self.topology.remove_plain_pods()?;
        Ok(rows)
    }

    /// The table with netpath's pods: everything should answer.
    pub fn table_after(&self) -> Result<Vec<Row>> {
        table::measure(&self.topology, |_| true, |pair, from, to| self.explain(pair, from, to))
    }

    /// The path of a pair's packets, as the node that decides says: the sender's, or the
    /// receiver's for what comes from afar.
    pub fn explain(&self, pair: &Pair, from: IpAddr, to: IpAddr) -> Result<Option<String>> {
        let node = self.topology.node_of(pair.from).or(self.topology.node_of(pair.to));
        node.map(|node| self.agents[node].path(from, to)).transpose()
    }

    /// The counters of every node.
    pub fn counters(&self) -> Result<Vec<NodeCounters>> {
        let nodes = self.topology.nodes.iter().zip(&self.agents);
        nodes
            .map(|(node, agent)| {
                let counters = agent.netpath_json(&["counters"])?;
                Ok(NodeCounters { node: node.name, counters })
            })
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.agents.clear();
        for (node, files) in self.topology.nodes.iter().zip(&self.files) {
            // Pins outlive processes and namespaces: cleanup removes them, and if it is what
            // failed, the folder goes by force so that the machine is left as it was.
            if files.pins.exists()
                && let Err(error) = agent::cleanup(&self.programs, node, files)
            {
                eprintln!("netpath-sandbox: cleanup of {}: {error:#}", node.name);
                remove(&files.pins);
            }
        }
    }
}

fn remove(pins: &Path) {
    if let Err(error) = fs::remove_dir_all(pins) {
        eprintln!("netpath-sandbox: remove {}: {error}", pins.display());
    }
}
