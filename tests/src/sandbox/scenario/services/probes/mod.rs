//! Probes as kubelet sends them, from the node to pods of every attachment, while others load the same pods
//! by a Service.

mod health;
mod kind;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::runtime::Builder;

use self::{health::Health, kind::Kind};
use super::once;
use crate::sandbox::{
    address::Family,
    answerer::Answerer,
    fabric::{Fabric, Plan, Translate},
    kernel,
    scenario::{Bench, Outcome},
};

/// What kubelet waits for an answer, if nobody says otherwise (`timeoutSeconds`).
const PATIENCE: Duration = Duration::from_secs(1);
/// The same in a guest, whose processors are emulated and have more to do than they can.
const EMULATED: Duration = Duration::from_secs(5);
/// Probes in all.
const PROBES: usize = 10_000;
const TARGET: u16 = 9200;
const SERVICE: &str = "10.96.0.92";

pub(super) fn under_load(bench: &Bench, translate: Translate) -> Result<Outcome> {
    let plan = Plan { services: Some(translate), nodes: 1, all: true, ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    let answerers = fabric.pods.iter().zip(1..);
    let answerers = answerers.map(|(pod, id)| Answerer::start(&pod.namespace, TARGET, id));
    let _answerers = answerers.collect::<Result<Vec<_>>>()?;
    let health = fabric.pods.iter().map(|pod| Health::start(&pod.namespace));
    let _health = health.collect::<Result<Vec<_>>>()?;
    let endpoints = fabric.pods.iter();
    let endpoints: Vec<_> =
        endpoints.map(|pod| json!({ "addresses": [pod.address.v4], "node": "node1" })).collect();
    let service = json!([{
        "name": "load/web",
        "cluster_ips": [SERVICE],
        "ports": [{ "port": 80, "target": TARGET }],
        "endpoints": endpoints,
    }]);
    fabric.apply_at(0, &service)?;
    let targets: Vec<_> = fabric
        .pods
        .iter()
        .flat_map(|pod| Family::BOTH.map(|family| (&*pod.name, pod.address.of(family))))
        .flat_map(|(name, address)| Kind::ALL.map(|kind| (name, address, kind)))
        .collect();
    let patience = if kernel::guest()?.is_some() { EMULATED } else { PATIENCE };
    let (ends, load) = (AtomicBool::new(false), AtomicU64::new(0));
    let failed = thread::scope(|scope| {
        for pod in &fabric.pods {
            let (ends, load) = (&ends, &load);
            scope.spawn(move || {
                pod.namespace.enter(|| {
                    let service = SocketAddr::new(SERVICE.parse()?, 80);
                    while !ends.load(Ordering::Relaxed) {
                        load.fetch_add(u64::from(once(service).is_ok()), Ordering::Relaxed);
                    }
                    Ok(())
                })
            });
        }
        let failed = fabric.nodes[0].namespace.enter(|| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let failed = (0..PROBES).filter_map(|probe| {
                let (name, address, kind) = targets[probe % targets.len()];
                if probe % 1_000 == 0 {
                    eprintln!("probes: {probe}");
                }
                let to = SocketAddr::new(address, kind.port(TARGET));
                let answered = runtime.block_on(kind.probe(to, patience));
                answered.err().map(|error| format!("{name}: {error:#}"))
            });
            Ok(failed.collect::<Vec<_>>())
        });
        ends.store(true, Ordering::Relaxed);
        failed
    })?;
    let load = load.into_inner();
    eprintln!(
        "probes: {PROBES}, {} ways, {} failed, {load} answers of the Service meanwhile",
        targets.len(),
        failed.len()
    );
    ensure!(load > 0, "nobody loaded the pods");
    ensure!(failed.is_empty(), "{} of {PROBES} failed: {:?}", failed.len(), failed.first());
    Ok(Outcome::Passed)
}
