//! One node whose pods come from the plugin, as a container runtime makes them, and from the agent's
//! pools.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use netpath_common::ABI;
use nix::{net::if_::if_nameindex, sys::signal::Signal};
use serde_json::{Value, json};

use super::{
    address::Subnet,
    addresses::Addresses,
    agent::{Agent, Programs, Settings},
    command,
    lab::Lab,
    namespace::Namespace,
    snapshot::Snapshot,
    topology::Place,
};
use crate::cni::{Ground, Invocation, Outcome, Plugin};

/// The version of configurations that do not say otherwise.
const VERSION: &str = "1.1.0";

/// A node with an agent and its plugin. The lab's other node has no agent: it is a host on the wire.
#[derive(Debug)]
pub struct Host {
    /// The network around it.
    pub lab: Lab,
    /// Where the plugin works, unless it is told otherwise.
    pub ground: Ground,
    plugin: Plugin,
}

/// What an attachment may leave behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Traces {
    node: Snapshot,
    agent: BTreeMap<&'static str, Value>,
}

/// Pools of both families: hosts `first` to `last` of the first pod subnet.
#[must_use]
pub fn pools(first: u8, last: u8) -> String {
    let [low, high] = [first, last].map(|number| Subnet::A.host(number));
    let gateway = Subnet::A.gateway();
    format!(
        "[[pool]]\nname = 'four'\nsubnet = '10.0.1.0/24'\nranges = ['{}-{}']\ngateway = '{}'\n\
         [[pool]]\nname = 'six'\nsubnet = 'fd00:1::/64'\nranges = ['{}-{}']\ngateway = '{}'\n",
        low.v4, high.v4, gateway.v4, low.v6, high.v6, gateway.v6,
    )
}

impl Host {
    /// A node with an agent of these settings.
    pub fn start(programs: &Programs, settings: &Settings) -> Result<Self> {
        let lab = Lab::build(programs, settings, 1500)?;
        let ground = Ground {
            socket: lab.files[0].socket.clone(),
            netns: lab.topology.place("a1").namespace.path(),
            plugins: programs.folder().to_owned(),
        };
        let mut host = Self { lab, ground, plugin: Plugin::new(programs.plugin()) };
        host.start_agent()?;
        Ok(host)
    }

    /// Starts the agent, with what the last one left.
    pub fn start_agent(&mut self) -> Result<()> {
        let Lab { agents, files, programs, topology, .. } = &mut self.lab;
        agents.push(Agent::start(programs, &topology.nodes[0], &files[0])?);
        Ok(())
    }

    /// Ends the agent.
    pub fn end_agent(&mut self) -> Result<()> {
        let agent = self.lab.agents.pop().context("no agent runs")?;
        agent.end(Signal::SIGTERM).map(drop)
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.lab.agents[0]
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Place {
        &self.lab.topology.nodes[0]
    }

    /// A namespace for a pod, with nothing in it.
    pub fn sandbox(&self, name: &str) -> Result<Namespace> {
        Namespace::create(&format!("{}{name}", self.lab.topology.prefix))
    }

    /// Starts the plugin where a runtime would.
    pub fn run(&self, invocation: &Invocation) -> Result<Outcome> {
        self.node().namespace.enter(|| self.plugin.run(invocation))
    }

    /// A verb with this configuration, for a container in a namespace.
    pub fn call(
        &self,
        verb: &str,
        container: &str,
        netns: &Path,
        config: &Value,
    ) -> Result<Outcome> {
        self.run(&self.ground.call(verb, container, config).with("CNI_NETNS", netns))
    }

    /// Adds a pod, whose container is called like its namespace.
    pub fn add(&self, pod: &Namespace) -> Result<Outcome> {
        self.call("ADD", pod.name(), &pod.path(), &self.ground.config(VERSION))
    }

    /// Deletes a pod.
    pub fn del(&self, pod: &Namespace) -> Result<()> {
        self.call("DEL", pod.name(), &pod.path(), &self.ground.config(VERSION))?.silence()
    }

    /// Checks a pod against what the addition answered.
    pub fn check(&self, pod: &Namespace, answer: &Value) -> Result<Outcome> {
        let mut config = self.ground.config(VERSION);
        config["prevResult"] = answer.clone();
        self.call("CHECK", pod.name(), &pod.path(), &config)
    }

    /// What there is of pods: on the node, at the agent and in the maps.
    pub fn traces(&self) -> Result<Traces> {
        let agent = self.agent();
        let mut facts = BTreeMap::from([
            ("addresses", agent.netpath_json(&["ipam", "show"])?["addresses"].clone()),
            ("endpoints", agent.netpath_json(&["endpoint", "list"])?),
            ("problems", agent.netpath_json(&["ipam", "check"])?),
        ]);
        for map in MAPS {
            facts.insert(map, json!(self.keys(map)?));
        }
        let node = Snapshot::take(self.node(), &agent.files.pins)?;
        Ok(Traces { node, agent: facts })
    }

    /// The keys in a pinned map: addresses, or what `bpftool` has.
    pub fn keys(&self, map: &str) -> Result<Vec<Value>> {
        if map == ADDRESSES {
            let mut addresses = self.addresses()?.all()?;
            addresses.sort_by_key(|(address, _)| *address);
            return Ok(addresses
                .iter()
                .map(|(address, _)| json!(IpAddr::from(*address)))
                .collect());
        }
        let text = bpftool(&["-j", "map", "dump", "pinned", &self.pin(map).display().to_string()])?;
        let entries: Vec<Value> =
            serde_json::from_str(&text).with_context(|| format!("dump of map {map}"))?;
        let mut keys: Vec<_> = entries.iter().map(|entry| entry["key"].clone()).collect();
        keys.sort_by_key(Value::to_string);
        Ok(keys)
    }

    /// Deletes an entry of a pinned map.
    pub fn delete_key(&self, map: &str, key: &Value) -> Result<()> {
        if map == ADDRESSES {
            let address: IpAddr = serde_json::from_value(key.clone())?;
            return self.addresses()?.lose(&address.into());
        }
        let bytes = key.as_array().with_context(|| format!("key {key} of map {map}"))?;
        let bytes: Vec<_> = bytes.iter().filter_map(Value::as_str).collect();
        let pin = self.pin(map).display().to_string();
        bpftool(&[&["map", "delete", "pinned", &pin, "key"], bytes.as_slice()].concat())?;
        Ok(())
    }

    fn addresses(&self) -> Result<Addresses> {
        Addresses::open(&self.agent().files.pins)
    }

    /// The pinned links.
    pub fn links(&self) -> Result<Vec<PathBuf>> {
        let folder = self.agent().files.pins.join(format!("v{ABI}")).join("links");
        let list = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        let mut links = list.map(|link| Ok(link?.path())).collect::<std::io::Result<Vec<_>>>()?;
        links.sort();
        Ok(links)
    }

    /// Runs `tc` on the node.
    pub fn tc(&self, arguments: &[&str]) -> Result<String> {
        command::run(Command::new("tc").args(["-n", self.node().namespace.name()]).args(arguments))
    }

    /// The file that keeps a map.
    #[must_use]
    pub fn pin(&self, map: &str) -> PathBuf {
        self.agent().files.pins.join(format!("v{ABI}")).join(map)
    }

    /// Everything that was put right so far.
    pub fn repairs(&self) -> Result<u64> {
        let status = self.agent().netpath_json(&["status"])?;
        let kinds = status["repairs"].as_object().context("the status has no repairs")?;
        Ok(kinds.values().filter_map(Value::as_u64).sum())
    }

    /// An error if the agent panicked.
    pub fn no_panic(&self) -> Result<()> {
        let log = fs::read_to_string(&self.agent().files.log)?;
        ensure!(!log.contains("panicked"), "the agent panicked: {}", self.agent().last_words());
        Ok(())
    }
}

/// The maps with entries of pods.
pub const MAPS: [&str; 4] = [ADDRESSES, "namespaces", "routes", "parents"];

/// That of addresses, which is no map of the kernel's kind.
const ADDRESSES: &str = "endpoints";

impl Traces {
    /// What differs, one line each.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let mut lines = self.node.differences(&after.node);
        for (what, was) in &self.agent {
            let is = &after.agent[what];
            if was != is {
                lines.push(format!("{what}: was {was}, is {is}"));
            }
        }
        lines
    }
}

fn bpftool(arguments: &[&str]) -> Result<String> {
    command::run(Command::new("bpftool").args(arguments))
}

/// The addresses of a result.
pub fn addresses(answer: &Value) -> Result<Vec<IpAddr>> {
    let ips = answer["ips"].as_array().with_context(|| format!("no addresses in {answer}"))?;
    let address = |ip: &Value| -> Result<IpAddr> {
        let text = ip["address"].as_str().and_then(|text| text.split('/').next());
        text.unwrap_or_default().parse().with_context(|| format!("address {ip}"))
    };
    ips.iter().map(address).collect()
}

/// The interfaces in a namespace.
pub fn interfaces(namespace: &Namespace) -> Result<Vec<String>> {
    namespace.enter(|| {
        let all = if_nameindex().context("list interfaces")?;
        Ok(all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect())
    })
}
