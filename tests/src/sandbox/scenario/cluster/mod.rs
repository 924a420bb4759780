//! Nodes in a Kubernetes cluster: what they take of it, and what it says of their pods.

mod asks;
mod fixed;
mod migrates;
mod pod;
mod pools;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use self::pod::Pod;
use super::{Bench, Outcome, Scenario};
use crate::{
    apiserver::ApiServer,
    sandbox::{
        address::Family,
        fabric::{Fabric, subnet},
        kernel,
        probe::{self, Patience},
        wait,
    },
};

/// Mostly in the running kernel: what the host stack and the API server do is the same everywhere. Who answers
/// for an address is the programs' affair, by either generation of TC hooks, and ipvlan's.
pub(super) fn scenarios() -> Vec<Scenario> {
    let moves = ["tcx", "netlink"].map(|attach| {
        Scenario::own(format!("native::cluster::fixed::attach_{attach}"), move |bench: &Bench| {
            match kernel::without_hooks(attach)? {
                Some(why) => Ok(Outcome::Ignored(why)),
                None => fixed::moves(bench, attach, "policy-route"),
            }
        })
    });
    let mut scenarios = Vec::from(moves);
    scenarios.push(Scenario::own("native::cluster::pools", pools::pools));
    scenarios.push(Scenario::own("native::cluster::asks", asks::asks));
    scenarios.push(Scenario::own("native::cluster::migrates", migrates::migrates));
    scenarios
        .push(Scenario::own("cluster::fixed", |bench| fixed::moves(bench, "auto", "ipvlan-l2")));
    scenarios
}

const PATIENCE: Duration = Duration::from_secs(30);
const BLOCK: u32 = 16;

fn api(fabric: &Fabric) -> Result<&ApiServer> {
    Ok(&fabric.cluster.as_ref().context("the fabric is in no cluster")?.api)
}

/// Tells the cluster of its nodes and a pool a family.
fn publish(api: &ApiServer) -> Result<()> {
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

/// Waits until a node has blocks of so many pools.
fn ready(fabric: &Fabric, node: usize, count: usize) -> Result<()> {
    wait::until("the node takes blocks", PATIENCE, || {
        let shown = fabric.agents[node].netpath_json(&["ipam", "show"])?;
        let pools = shown["pools"].as_array().context("no list of pools")?;
        let has = |pool: &Value| pool["free"].as_u64().is_some_and(|free| free > 0);
        Ok((pools.len() == count && pools.iter().all(has)).then_some(()))
    })
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
