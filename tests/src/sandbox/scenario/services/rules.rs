//! Who is asked: affinity, policies, source ranges, endpoints on their way out.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{answerer::Answerer, once};
use crate::sandbox::{
    address::{Dual, Family},
    cgroup::Cgroup,
    fabric::{Fabric, Plan},
    namespace::Namespace,
    scenario::{Bench, Outcome},
};

const PORT: u16 = 80;
const TARGET: u16 = 9100;
const NODE_PORT: u16 = 31_080;
const CLUSTER: Dual =
    Dual { v4: Ipv4Addr::new(10, 96, 0, 80), v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x80) };
/// Led to the first node.
const BALANCER: Dual = Dual {
    v4: Ipv4Addr::new(203, 0, 113, 80),
    v6: Ipv6Addr::new(0xfd00, 0xb0, 0, 0, 0, 0, 0, 0x80),
};
/// Questions at a time: with two backends, all go to one of them once in a million times.
const QUESTIONS: usize = 20;

struct World {
    fabric: Fabric,
    _answerers: Vec<Answerer>,
}

pub(super) fn rules(bench: &Bench, translate: &'static str) -> Result<Outcome> {
    let fabric =
        Fabric::build(&bench.programs, Plan { translate: Some(translate), ..Plan::default() })?;
    let answerers =
        fabric.pods.iter().zip(1..).map(|(pod, id)| Answerer::start(&pod.namespace, TARGET, id));
    let answerers = answerers.collect::<Result<Vec<_>>>()?;
    let node = fabric.nodes[0].address;
    fabric.router.ip(&[
        format!("route add {}/32 via {}", BALANCER.v4, node.v4),
        format!("route add {}/128 via {}", BALANCER.v6, node.v6),
    ])?;
    let world = World { fabric, _answerers: answerers };
    for family in Family::BOTH {
        world.inside(family).with_context(|| format!("from a pod by {family:?}"))?;
        world.outside(family).with_context(|| format!("from the wire by {family:?}"))?;
    }
    Ok(Outcome::Passed)
}

impl World {
    /// The numbers of the backends on a node.
    fn on(&self, node: usize) -> BTreeSet<u8> {
        let pods = self.fabric.pods.iter().zip(1..);
        pods.filter(|(pod, _)| pod.node == node).map(|(_, id)| id).collect()
    }

    /// Applies the Service with these differences.
    fn apply(&self, endpoints: &Value, more: &Value) -> Result<()> {
        let both = |dual: Dual| Family::BOTH.map(|family| dual.of(family));
        let mut service = json!({
            "name": "default/web",
            "cluster_ips": both(CLUSTER),
            "load_balancer_ips": both(BALANCER),
            "ports": [{ "port": PORT, "target": TARGET, "node_port": NODE_PORT }],
            "endpoints": endpoints,
        });
        if let (Some(service), Some(more)) = (service.as_object_mut(), more.as_object()) {
            service.extend(more.clone());
        }
        self.fabric
            .agents
            .iter()
            .try_for_each(|agent| agent.apply_services(&json!([service]).to_string()).map(drop))
    }

    /// Endpoints of these numbers.
    fn endpoints(&self, which: &BTreeSet<u8>, state: &Value) -> Value {
        let pods = self.fabric.pods.iter().zip(1..).filter(|(_, id)| which.contains(id));
        pods.map(|(pod, _)| {
            let mut endpoint = json!({
                "addresses": Family::BOTH.map(|family| pod.address.of(family)),
                "node": self.fabric.nodes[pod.node].name,
            });
            if let (Some(endpoint), Some(state)) = (endpoint.as_object_mut(), state.as_object()) {
                endpoint.extend(state.clone());
            }
            endpoint
        })
        .collect()
    }

    fn inside(&self, family: Family) -> Result<()> {
        let _guest = self.fabric.cgroups.first().map(Cgroup::join).transpose()?;
        let pod = &self.fabric.pods[0].namespace;
        let service = SocketAddr::new(CLUSTER.of(family), PORT);
        let asked = || ask(pod, service, QUESTIONS);
        let (here, away) = (self.on(0), self.on(1));
        let all: BTreeSet<_> = here.union(&away).copied().collect();
        let ready = json!({});

        self.apply(&self.endpoints(&all, &ready), &json!({}))?;
        let found = asked()?;
        ensure!(found.len() > 1 && found.is_subset(&all), "at random: {found:?}");
        let node = SocketAddr::new(self.fabric.nodes[1].address.of(family), NODE_PORT);
        let found = ask(pod, node, 2)?;
        ensure!(!found.is_empty(), "another node's port is not answered");

        self.apply(&self.endpoints(&all, &ready), &json!({ "affinity_seconds": 600 }))?;
        let first = asked()?;
        ensure!(first.len() == 1, "affinity: {first:?}");
        let rest: BTreeSet<_> = all.difference(&first).copied().collect();
        self.apply(&self.endpoints(&rest, &ready), &json!({ "affinity_seconds": 600 }))?;
        let second = asked()?;
        ensure!(second.len() == 1 && second.is_subset(&rest), "it has left: {second:?}");
        self.apply(&self.endpoints(&all, &ready), &json!({ "affinity_seconds": 600 }))?;
        let third = asked()?;
        ensure!(third == second, "one is back: {third:?} after {second:?}");

        let local = json!({ "internal_policy": "local" });
        self.apply(&self.endpoints(&all, &ready), &local)?;
        let found = asked()?;
        ensure!(!found.is_empty() && found.is_subset(&here), "internal policy local: {found:?}");
        self.apply(&self.endpoints(&away, &ready), &local)?;
        let found = ask(pod, service, 1)?;
        ensure!(found.is_empty(), "nobody is local, and {found:?} answered");

        let leaving = json!({ "ready": false, "serving": true, "terminating": true });
        self.apply(&self.endpoints(&here, &leaving), &json!({}))?;
        let found = asked()?;
        ensure!(!found.is_empty() && found.is_subset(&here), "all are terminating: {found:?}");
        let silent = json!({ "ready": false, "serving": false, "terminating": true });
        self.apply(&self.endpoints(&here, &silent), &json!({}))?;
        let found = ask(pod, service, 1)?;
        ensure!(found.is_empty(), "nobody serves, and {found:?} answered");
        Ok(())
    }

    fn outside(&self, family: Family) -> Result<()> {
        let remote = &self.fabric.remote;
        let balancer = SocketAddr::new(BALANCER.of(family), PORT);
        let asked = |count| ask(&remote.namespace, balancer, count);
        let (here, away) = (self.on(0), self.on(1));
        let all: BTreeSet<_> = here.union(&away).copied().collect();
        let ready = json!({});

        self.apply(&self.endpoints(&away, &ready), &json!({}))?;
        let found = asked(2)?;
        ensure!(!found.is_empty() && found.is_subset(&away), "through this node: {found:?}");
        let node = SocketAddr::new(self.fabric.nodes[0].address.of(family), NODE_PORT);
        let found = ask(&remote.namespace, node, 2)?;
        ensure!(!found.is_empty() && found.is_subset(&away), "node port: {found:?}");

        let local = json!({ "external_policy": "local" });
        self.apply(&self.endpoints(&all, &ready), &local)?;
        let found = asked(QUESTIONS)?;
        ensure!(!found.is_empty() && found.is_subset(&here), "external policy local: {found:?}");
        self.apply(&self.endpoints(&away, &ready), &local)?;
        let found = asked(1)?;
        ensure!(found.is_empty(), "nobody is local, and {found:?} answered");

        let own: IpAddr = remote.address.of(family);
        let other = BALANCER.of(family);
        for (range, answers) in [(other, false), (own, true)] {
            let length = if range.is_ipv4() { 32 } else { 128 };
            let ranges = json!({ "source_ranges": [format!("{range}/{length}")] });
            self.apply(&self.endpoints(&here, &ready), &ranges)?;
            let found = asked(1)?;
            ensure!(found.is_empty() != answers, "only {range} may ask: {found:?}");
        }
        Ok(())
    }
}

/// Who answers so many questions.
fn ask(namespace: &Namespace, address: SocketAddr, count: usize) -> Result<BTreeSet<u8>> {
    namespace.enter(|| Ok((0..count).filter_map(|_| once(address).ok()).collect()))
}
