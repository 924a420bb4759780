//! Pods with addresses of blocks that their nodes take.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Result, ensure};
use netpath_agent::ipam::AddressRange;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    PATIENCE, api, meet,
    pod::{Named, Pod},
    publish, ready,
};
use crate::{
    apiserver::ApiServer,
    sandbox::{
        fabric::{Fabric, Plan},
        scenario::{Bench, Outcome},
        wait,
    },
};

/// Of the first node: more than a block has.
const MANY: usize = 20;
const FEW: usize = 3;

pub(super) fn pools(bench: &Bench) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, Plan { cluster: true, ..Plan::default() })?;
    publish(api(&fabric)?)?;
    for node in 0..fabric.nodes.len() {
        ready(&fabric, node, 2)?;
    }
    let mut pods = Vec::new();
    for (node, count) in [(0, MANY), (1, FEW)] {
        for number in 0..count {
            pods.push(add(&fabric, node, number)?);
        }
    }
    owned(api(&fabric)?, &fabric, &pods)?;
    told(api(&fabric)?, &fabric, &pods)?;
    meet(&pods[0], &pods[MANY])?;

    // Nobody needs the API server for an address, nor does an agent that starts now.
    api(&fabric)?.go_down()?;
    pods.push(add(&fabric, 1, FEW)?);
    fabric.agents.remove(1).end(Signal::SIGKILL)?;
    fabric.start_agent(1)?;
    pods.push(add(&fabric, 1, FEW + 1)?);
    meet(&pods[1], &pods[MANY + FEW + 1])?;
    api(&fabric)?.come_up()?;
    owned(api(&fabric)?, &fabric, &pods)?;
    pods.iter().try_for_each(|pod| pod.remove(&fabric))?;
    Ok(Outcome::Passed)
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

/// Waits until the cluster was told what nodes have, and that their pools are good.
fn told(api: &ApiServer, fabric: &Fabric, pods: &[Pod]) -> Result<()> {
    let is_ready = |status: &Value| status["conditions"][0]["status"] == "True";
    wait::until("the cluster is told", PATIENCE, || {
        let pools = api.list("ippools.netpath.io", None)?;
        let mut told = pools.iter().all(|pool| is_ready(&pool["status"]));
        for (index, node) in fabric.nodes.iter().enumerate() {
            let object = api.get("nodenetworks.netpath.io", "", node.name)?;
            let status = object.map_or(Value::Null, |object| object["status"].clone());
            let blocks = api.list("ipblocks.netpath.io", None)?;
            let of_node = blocks.iter().filter(|block| block["spec"]["node"] == node.name);
            let names = of_node.filter_map(|block| block["metadata"]["name"].as_str());
            let (names, parent) = (names.collect::<BTreeSet<_>>(), &status["parents"][0]);
            told &= is_ready(&status)
                && status["pods"] == pods.iter().filter(|pod| pod.node == index).count()
                && status["blocks"] == json!(names)
                && parent["up"] == true
                && parent["mtu"].is_u64()
                && parent["addresses"].as_array().is_some_and(|list| list.len() > 1);
        }
        Ok(told.then_some(()))
    })
}

fn add(fabric: &Fabric, node: usize, number: usize) -> Result<Pod> {
    let pod = Pod::new(fabric, node, &format!("pool{node}-{number}"), Named::No)?.added(fabric)?;
    ensure!(pod.addresses.len() == 2, "not both families: {:?}", pod.addresses);
    Ok(pod)
}
