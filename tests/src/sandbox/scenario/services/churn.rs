//! Backends come and go while clients connect: none of these meets one that has left, or nobody.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{ledger::Ledger, once};
use crate::sandbox::{
    address::Family,
    agent::Agent,
    answerer::Answerer,
    fabric::{Fabric, Plan, Pod, Translate},
    scenario::{Bench, Outcome},
};

/// Between two changes: 50 a second.
const PACE: Duration = Duration::from_millis(20);
/// Threads that connect, and how often each does: 1,000 times a second in all.
pub(super) const CLIENTS: usize = 4;
const CLIENT_PACE: Duration = Duration::from_millis(4);

const BACKENDS: usize = 8;
/// The port of the first one.
const FIRST: u16 = 9000;
const SERVICE: &str = "churn/web";
pub(super) const ADDRESSES: [&str; 2] = ["10.96.9.9", "fd00:96::99"];

/// What a client saw: when it began, when it ended, and who answered.
pub(super) type Answer = (Instant, Instant, Result<u8, String>);

pub(super) fn churn(bench: &Bench, translate: Translate, restart: bool) -> Result<Outcome> {
    // A thousand connections a second, remembered for a while, are more than a small table holds.
    let plan = Plan { services: Some(translate), nodes: 1, large: true, ..Plan::default() };
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    let pods = std::mem::take(&mut fabric.pods);
    let answerers = (0..BACKENDS).map(|id| {
        let pod = &pods[id % pods.len()];
        Answerer::start(&pod.namespace, port(id)?, u8::try_from(id)?)
    });
    let _answerers = answerers.collect::<Result<Vec<_>>>()?;
    let mut ledger = Ledger::new(BACKENDS);
    ledger.add(0, Instant::now());
    fabric.apply_at(0, &service(&pods, &ledger)?)?;

    let ends = AtomicBool::new(false);
    let time = Duration::from_secs(bench.effort.churn);
    let (changes, answers) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (ends, pod) = (&ends, &pods[client % pods.len()]);
                scope.spawn(move || pod.namespace.enter(|| Ok(ask(client, ends))))
            })
            .collect();
        let changes = change(&mut fabric, &pods, &mut ledger, (time, restart));
        ends.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        for client in clients {
            let joined = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
            answers.extend(joined?);
        }
        anyhow::Ok((changes?, answers))
    })?;
    judge(&ledger, changes, &answers)?;
    fabric.pods = pods;
    Ok(Outcome::Passed)
}

fn judge(ledger: &Ledger, changes: u32, answers: &[Answer]) -> Result<()> {
    let wrong: Vec<String> = answers
        .iter()
        .filter_map(|(began, ended, answer)| match answer {
            Ok(id) if ledger.allows((*id).into(), *began, *ended) => None,
            Ok(id) => Some(format!("backend {id} answered and had left")),
            Err(error) => Some(error.clone()),
        })
        .collect();
    let count = answers.len();
    eprintln!("churn: {changes} changes, {count} connections, {} wrong", wrong.len());
    // The machine may be slow; a tenth of what is meant to be is still a lot.
    ensure!(
        changes > 50 && count > 1000,
        "too few to tell: {changes} changes, {count} connections"
    );
    let some: Vec<_> = wrong.iter().take(5).collect();
    ensure!(wrong.is_empty(), "{} of {count} connections went wrong: {some:?}", wrong.len());
    Ok(())
}

/// Adds and removes backends, one at a time, and kills the agent once in between.
fn change(
    fabric: &mut Fabric,
    pods: &[Pod],
    ledger: &mut Ledger,
    (time, restart): (Duration, bool),
) -> Result<u32> {
    let (start, mut rng) = (Instant::now(), Rng::new());
    let (mut changes, mut killed) = (0, !restart);
    while start.elapsed() < time {
        let next = Instant::now() + PACE;
        if !killed && start.elapsed() > time / 3 {
            killed = true;
            fabric.agents.remove(0).end(Signal::SIGKILL)?;
            fabric.start_agent(0)?;
        }
        let id = rng.usize(..BACKENDS);
        let mut members: Vec<_> = ledger.members().collect();
        let is_member = members.contains(&id);
        if is_member && members.len() == 1 {
            continue;
        }
        members.retain(|member| *member != id);
        if !is_member {
            members.push(id);
        }
        let asked = Instant::now();
        if !is_member {
            ledger.add(id, asked);
        }
        put(&fabric.agents[0], &endpoints(pods, &members)?)?;
        if is_member {
            ledger.remove(id, Instant::now());
        }
        changes += 1;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(changes)
}

fn put(agent: &Agent, endpoints: &Value) -> Result<()> {
    let body = json!({ "service": SERVICE, "endpoints": endpoints });
    agent.post("/v1/services/endpoints", &body.to_string()).map(drop)
}

/// Connects again and again, by both families in turn.
pub(super) fn ask(client: usize, ends: &AtomicBool) -> Vec<Answer> {
    let addresses = ADDRESSES.map(|address| {
        let address: IpAddr = address.parse().expect("an address");
        SocketAddr::new(address, 80)
    });
    let mut answers = Vec::new();
    let mut turn = client;
    while !ends.load(Ordering::Relaxed) {
        let began = Instant::now();
        turn += 1;
        let answer = once(addresses[turn % addresses.len()]);
        answers.push((began, Instant::now(), answer));
        thread::sleep(CLIENT_PACE.saturating_sub(began.elapsed()));
    }
    answers
}

fn service(pods: &[Pod], ledger: &Ledger) -> Result<Value> {
    let members: Vec<_> = ledger.members().collect();
    Ok(json!([{
        "name": SERVICE,
        "cluster_ips": ADDRESSES,
        "ports": [{ "name": "web", "port": 80, "target": "web" }],
        "endpoints": endpoints(pods, &members)?,
    }]))
}

fn endpoints(pods: &[Pod], members: &[usize]) -> Result<Value> {
    let endpoint = |id: &usize| {
        let addresses = Family::BOTH.map(|family| pods[id % pods.len()].address.of(family));
        Ok(json!({ "addresses": addresses, "node": "node1", "ports": { "web": port(*id)? } }))
    };
    members.iter().map(endpoint).collect()
}

fn port(id: usize) -> Result<u16> {
    Ok(FIRST + u16::try_from(id)?)
}
