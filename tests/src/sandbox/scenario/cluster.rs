//! Pods with addresses from the cluster's pools, on nodes that take blocks of them.

use std::{collections::BTreeSet, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use netpath_agent::{ipam::AddressRange, kube::types};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Bench, Outcome, Scenario};
use crate::{
    apiserver::ApiServer,
    cni::{self, Ground},
    sandbox::{
        address::Family,
        fabric::{Fabric, Plan, create, nic, subnet},
        namespace::Namespace,
        probe::{self, Patience},
        topology::POD,
        wait,
    },
};

/// In the running kernel: what the host stack and the API server do is the same everywhere.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::own("native::cluster::pools", pools)]
}

const PATIENCE: Duration = Duration::from_secs(30);
const BLOCK: u32 = 16;
/// Of the first node: more than a block has.
const MANY: usize = 20;
const FEW: usize = 3;

fn pools(bench: &Bench) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, Plan { cluster: true, ..Plan::default() })?;
    publish(api(&fabric)?)?;
    for node in 0..fabric.nodes.len() {
        ready(&fabric, node)?;
    }
    let mut pods = Vec::new();
    for (node, count) in [(0, MANY), (1, FEW)] {
        for number in 0..count {
            pods.push(Pod::add(&fabric, node, number)?);
        }
    }
    owned(api(&fabric)?, &fabric, &pods)?;
    meet(&pods[0], &pods[MANY])?;

    // Nobody needs the API server for an address, nor does an agent that starts now.
    api(&fabric)?.go_down()?;
    pods.push(Pod::add(&fabric, 1, FEW)?);
    fabric.agents.remove(1).end(Signal::SIGKILL)?;
    fabric.start_agent(1)?;
    pods.push(Pod::add(&fabric, 1, FEW + 1)?);
    meet(&pods[1], &pods[MANY + FEW + 1])?;
    api(&fabric)?.come_up()?;
    owned(api(&fabric)?, &fabric, &pods)?;
    pods.iter().try_for_each(|pod| pod.remove(&fabric))?;
    Ok(Outcome::Passed)
}

fn api(fabric: &Fabric) -> Result<&ApiServer> {
    Ok(&fabric.cluster.as_ref().context("the fabric is in no cluster")?.api)
}

/// Tells the cluster of its kinds, its nodes and a pool a family.
fn publish(api: &ApiServer) -> Result<()> {
    for definition in types::all() {
        api.put(serde_json::to_value(definition)?)?;
    }
    for name in ["node1", "node2"] {
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))?;
    }
    let ranges = [("v4", Family::Ipv4, "10.0.1.128/25"), ("v6", Family::Ipv6, "fd00:1::1:0/112")];
    for (name, family, range) in ranges {
        let pods = subnet(0);
        api.put(json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": "IPPool", "metadata": {"name": name},
            "spec": {
                "subnet": pods.prefix(family), "ranges": [range], "blockSize": BLOCK,
                "gateway": pods.gateway().of(family), "default": true, "priority": 0,
            },
        }))?;
    }
    Ok(())
}

/// Waits until a node has blocks of both families.
fn ready(fabric: &Fabric, node: usize) -> Result<()> {
    wait::until("the node takes blocks", PATIENCE, || {
        let shown = fabric.agents[node].netpath_json(&["ipam", "show"])?;
        let pools = shown["pools"].as_array().context("no list of pools")?;
        let has = |pool: &Value| pool["free"].as_u64().is_some_and(|free| free > 0);
        Ok((pools.len() == 2 && pools.iter().all(has)).then_some(()))
    })
}

/// Whether all addresses are different, and each is of a block of its node.
fn owned(api: &ApiServer, fabric: &Fabric, pods: &[Pod]) -> Result<()> {
    let blocks = api.list("ipblocks.netpath.io", None)?;
    let owner = |address: IpAddr| {
        let within = |block: &&Value| {
            let range = block["spec"]["range"].as_str().and_then(|text| text.parse().ok());
            range.is_some_and(|range: AddressRange| {
                (range.first()..=range.last()).contains(&address)
            })
        };
        blocks.iter().find(within).and_then(|block| block["spec"]["node"].as_str())
    };
    let mut seen = BTreeSet::new();
    for pod in pods {
        for address in &pod.addresses {
            let node = fabric.nodes[pod.node].name;
            ensure!(seen.insert(*address), "{address} is in two places");
            ensure!(
                owner(*address) == Some(node),
                "{address} of {node} is of {:?}",
                owner(*address)
            );
        }
    }
    Ok(())
}

/// Two pods reach each other.
fn meet(one: &Pod, other: &Pod) -> Result<()> {
    for (from, to) in [(one, other), (other, one)] {
        for address in &to.addresses {
            let heard = probe::ping_of(&from.namespace, *address, 100, Patience::EXPECTED)?;
            ensure!(heard, "{address} does not answer");
        }
    }
    Ok(())
}

/// A pod that the plugin attached.
struct Pod {
    namespace: Namespace,
    node: usize,
    addresses: Vec<IpAddr>,
}

impl Pod {
    fn add(fabric: &Fabric, node: usize, number: usize) -> Result<Self> {
        let namespace = create(&fabric.prefix, &format!("pool{node}-{number}"), &POD)?;
        let mut pod = Self { namespace, node, addresses: Vec::new() };
        let answer = pod.call(fabric, "ADD")?.answer()?;
        let ips = answer["ips"].as_array().context("no addresses")?;
        let address = |ip: &Value| -> Result<IpAddr> {
            let net: IpNet = ip["address"].as_str().context("no address")?.parse()?;
            Ok(net.addr())
        };
        pod.addresses = ips.iter().map(address).collect::<Result<_>>()?;
        ensure!(pod.addresses.len() == 2, "not both families: {answer}");
        Ok(pod)
    }

    fn remove(&self, fabric: &Fabric) -> Result<()> {
        self.call(fabric, "DEL")?.silence()
    }

    fn call(&self, fabric: &Fabric, verb: &str) -> Result<cni::Outcome> {
        let ground = Ground {
            socket: fabric.agents[self.node].files.socket.clone(),
            netns: self.namespace.path(),
            plugins: Path::new("/").into(),
        };
        let mut config = ground.config("1.0.0");
        config["parent"] = json!(nic(0));
        config["attachment"] = json!("policy-route");
        fabric.plugin().run(&ground.call(verb, self.namespace.name(), &config))
    }
}
