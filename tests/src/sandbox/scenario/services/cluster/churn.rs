//! Clients connect, pods come and go and the host asks them, all while the API server is gone.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::json;

use super::{PATIENCE, alone, objects};
use crate::sandbox::{
    address::Family,
    answerer::Answerer,
    fabric::{Fabric, Pod},
    namespace::Namespace,
    scenario::{
        Bench, Outcome,
        services::{
            churn::{ADDRESSES, Answer, CLIENTS, ask},
            once,
        },
    },
    wait,
};

/// Where backends answer.
const PORT: u16 = 9000;
/// Between two probes of a pod by the host.
const PROBE: Duration = Duration::from_millis(10);

pub(in crate::sandbox::scenario::services) fn without_api(bench: &Bench) -> Result<Outcome> {
    let mut fabric = Fabric::build(&bench.programs, alone())?;
    // One comes and goes, the others answer.
    let moving = fabric.pods.pop().context("the node has no pods")?;
    let answerers = (0..).zip(&fabric.pods);
    let answerers = answerers.map(|(id, pod)| Answerer::start(&pod.namespace, PORT, id));
    let _answerers = answerers.collect::<Result<Vec<_>>>()?;
    publish(&fabric)?;
    // Everybody has met everybody before anything counts: neighbours are asked for once.
    for pod in &fabric.pods {
        for address in ADDRESSES {
            wait::until("the Service answers", PATIENCE, || met(&pod.namespace, address))?;
        }
    }
    objects::api(&fabric)?.go_down()?;

    let ends = AtomicBool::new(false);
    let time = Duration::from_secs(bench.effort.churn);
    let (moves, clients, host) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (ends, pod) = (&ends, &fabric.pods[client % fabric.pods.len()]);
                scope.spawn(move || pod.namespace.enter(|| Ok(ask(client, ends))))
            })
            .collect();
        let host = scope.spawn(|| probe(&fabric.nodes[0].namespace, &fabric.pods, &ends));
        let moves = come_and_go(&fabric, &moving, time);
        ends.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        for client in clients {
            answers.extend(client.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        let host = host.join().map_err(|_| anyhow!("the host panicked"))??;
        anyhow::Ok((moves?, answers, host))
    })?;
    let wrong = |answers: &[Answer]| -> Vec<String> {
        let wrong = answers.iter().filter_map(|(_, _, answer)| answer.clone().err());
        wrong.collect()
    };
    let (asked, failed) = (wrong(&clients), wrong(&host));
    let slowest = moves.iter().max().copied().unwrap_or_default();
    eprintln!(
        "without the API server: {} connections, {} wrong; {} probes by the host, {} failed; {} pods \
         came and went, the slowest in {slowest:?}",
        clients.len(),
        asked.len(),
        host.len(),
        failed.len(),
        moves.len(),
    );
    ensure!(clients.len() > 1000 && host.len() > 100 && moves.len() > 10, "too few to tell");
    ensure!(asked.is_empty() && failed.is_empty(), "{:?} {:?}", asked.first(), failed.first());
    fabric.pods.push(moving);
    Ok(Outcome::Passed)
}

/// Whether the Service answers so often that each backend was asked, but for one in a million times.
fn met(from: &Namespace, address: &str) -> Result<Option<()>> {
    const OFTEN: usize = 40;
    let to = SocketAddr::new(address.parse()?, 80);
    let all = from.enter(|| Ok((0..OFTEN).all(|_| once(to).is_ok())))?;
    Ok(all.then_some(()))
}

/// Removes a pod and adds it again and again; how long each turn took.
fn come_and_go(fabric: &Fabric, pod: &Pod, time: Duration) -> Result<Vec<Duration>> {
    let (start, mut turns) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        wait::check_interrupt()?;
        let begin = Instant::now();
        fabric.agents[0].netpath(&["endpoint", "del", &pod.name])?;
        fabric.add(pod)?;
        turns.push(begin.elapsed());
    }
    Ok(turns)
}

/// Asks pods from the host, in turns, as a kubelet does.
fn probe(host: &Namespace, pods: &[Pod], ends: &AtomicBool) -> Result<Vec<Answer>> {
    host.enter(|| {
        let mut answers = Vec::new();
        let targets = pods.iter().flat_map(|pod| Family::BOTH.map(|family| pod.address.of(family)));
        for target in targets.collect::<Vec<_>>().into_iter().cycle() {
            if ends.load(Ordering::Relaxed) {
                break;
            }
            let began = Instant::now();
            let answer = once(SocketAddr::new(target, PORT));
            answers.push((began, Instant::now(), answer));
            thread::sleep(PROBE.saturating_sub(began.elapsed()));
        }
        Ok(answers)
    })
}

/// Tells the cluster of a Service whose backends are the pods.
fn publish(fabric: &Fabric) -> Result<()> {
    let api = objects::api(fabric)?;
    api.put(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "churn", "name": "web"},
        "spec": {"clusterIPs": ADDRESSES, "ports": [{"port": 80, "targetPort": PORT}]},
    }))?;
    for family in Family::BOTH {
        let endpoint = |pod: &Pod| json!({"addresses": [pod.address.of(family)], "conditions": {"ready": true}, "nodeName": "node1"});
        let endpoints: Vec<_> = fabric.pods.iter().map(endpoint).collect();
        let ports = json!([{"name": "", "port": PORT}]);
        api.put(objects::slice("churn", "web", family, &ports, &json!(endpoints)))?;
    }
    Ok(())
}
