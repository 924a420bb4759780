//! 10,000 Services with 50,000 endpoints of a cluster, and 250 pods: what the agent takes for them, and how
//! long until it knows them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use netpath_common::ABI;
use nix::sys::signal::Signal;
use serde_json::json;

use super::{PATIENCE, alone, objects};
use crate::{
    apiserver::ApiServer,
    sandbox::{
        fabric::{Fabric, nic, subnet},
        namespace::Namespace,
        process::Memory,
        scenario::{
            Bench, Outcome,
            services::scale::{BACKENDS, SERVICES, Tables, address, backend, family},
        },
        wait,
    },
};

const PODS: u8 = 250;
/// Changes of one Service's endpoints.
const CHANGES: u16 = 100;

/// What it may take; memory in KiB.
const START: Duration = Duration::from_secs(10);
const CHANGE: Duration = Duration::from_millis(50);
const MEMORY: u64 = 150 << 10;

pub(in crate::sandbox::scenario::services) fn ten_thousand(bench: &Bench) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, alone())?;
    let pods = pods(&fabric)?;
    // The next agent finds nothing of the cluster in its store.
    fabric.agents.remove(0).end(Signal::SIGTERM)?;
    for number in 0..SERVICES {
        publish(objects::api(&fabric)?, number, 0)?;
    }
    let begin = Instant::now();
    fabric.start_agent(0)?;
    let agent = &fabric.agents[0];
    wait::until("the agent is ready", PATIENCE, || Ok(agent.is_ready().ok()))?;
    let start = begin.elapsed();
    let tables = Tables::open(&agent.files.pins.join(format!("v{ABI}")))?;
    for number in (0..SERVICES).step_by(997) {
        ensure!(tables.lead_to(number, 0)?, "Service {number} does not lead to its backends");
    }
    let mut changes = Vec::new();
    for number in (0..SERVICES).step_by((SERVICES / CHANGES).into()) {
        let begin = Instant::now();
        publish(objects::api(&fabric)?, number, 1)?;
        while !tables.lead_to(number, 1)? {
            ensure!(begin.elapsed() < PATIENCE, "Service {number} does not follow");
        }
        changes.push(begin.elapsed());
    }
    changes.sort_unstable();
    let (half, most) = (changes[changes.len() / 2], changes[changes.len() * 9 / 10]);
    let Memory { now, highest } = Memory::of(agent.id())?;
    eprintln!(
        "scale: {SERVICES} Services, {} endpoints and {PODS} pods: ready after {start:?}; a change in \
         {half:?}, nine of ten in {most:?}, the slowest in {:?}; {now} KiB of memory, {highest} KiB at most",
        u32::from(SERVICES) * u32::from(BACKENDS),
        changes[changes.len() - 1],
    );
    drop(pods);
    ensure!(start <= START, "ready after {start:?}");
    ensure!(most <= CHANGE, "nine of ten changes took up to {most:?}");
    ensure!(highest <= MEMORY, "the agent took {highest} KiB");
    Ok(Outcome::Passed)
}

/// Pods of two segments.
fn pods(fabric: &Fabric) -> Result<Vec<Namespace>> {
    let agent = &fabric.agents[0];
    let one = |number: u8| {
        let pod = Namespace::create(&format!("{}scale{number}", fabric.prefix))?;
        let segment = usize::from(number % 2);
        let (own, gateway) = (subnet(segment).host(100 + number / 2), subnet(segment).gateway());
        let netns = pod.path().display().to_string();
        let parent = nic(segment);
        let mut words = vec!["endpoint", "add", pod.name(), "--netns", &netns, "--parent", &parent];
        let (v4, v6) = (format!("{}/24", own.v4), format!("{}/64", own.v6));
        let (gateway4, gateway6) = (gateway.v4.to_string(), gateway.v6.to_string());
        words.extend(["--attachment", "policy-route", "--address", &v4, "--address", &v6]);
        words.extend(["--gateway", &gateway4, "--gateway", &gateway6]);
        agent.netpath(&words)?;
        Ok(pod)
    };
    (0..PODS).map(one).collect()
}

/// Tells the cluster of a Service and its endpoints, of one family each.
fn publish(api: &ApiServer, number: u16, turn: u8) -> Result<()> {
    let name = format!("service-{number}");
    if turn == 0 {
        api.put(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "scale", "name": name},
            "spec": {"clusterIPs": [address(number)], "ports": [{"port": 80, "targetPort": 80}]},
        }))?;
    }
    let endpoint = |place: u8| {
        json!({
            "addresses": [backend(number, place, turn)], "nodeName": "node2", "zone": "a",
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": "scale", "name": format!("{name}-{place}")},
        })
    };
    let endpoints: Vec<_> = (0..BACKENDS).map(endpoint).collect();
    let ports = json!([{"name": "", "port": 80, "protocol": "TCP"}]);
    let slice = objects::slice("scale", &name, family(number), &ports, &json!(endpoints));
    api.put(slice).map(drop)
}
