//! Many pods at once, beside the reference plugin in the same guest.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{super::Bench, NODE, Outcome, PLUGINS, Scenario, nothing_allocated};
use crate::{
    cni::{Ground, Plugin},
    sandbox::{
        address::{Family, Subnet},
        agent::{Agent, Programs, Settings},
        churn,
        lab::Lab,
        namespace::Namespace,
        probe::{Patience, Proto, probe as ask},
        together::together,
        topology::{INTERFACE, Topology},
    },
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::once("runtime::burst::250", burst)]
}

const PODS: usize = 250;
/// The reference's: what one call takes does not depend on how many there are, but on how many are
/// made at once, and all of them would take it ten minutes in an emulated guest.
const REFERENCE: usize = 64;
/// Runtimes that call at once.
const CALLERS: usize = 16;
/// How many times faster than the reference the median addition must be.
const FACTOR: u32 = 3;
/// Pods from one that is asked whether it answers to the next.
const STEP: usize = 50;

/// The reference asks nobody: its pods' kernels are told to detect no duplicates. netpath is
/// measured without its questions, and as it is by default, with questions of 500 ms. Both must be
/// faster.
fn burst(bench: &Bench) -> Result<Outcome> {
    if !Path::new(PLUGINS).join("ipvlan").exists() {
        return Ok(Outcome::Ignored("there is no ipvlan plugin here".into()));
    }
    let pods = (0..PODS).map(pod).collect::<Result<Vec<_>>>()?;
    let mut ours = Vec::new();
    for (name, probe) in [("no probes", false), ("probes", true)] {
        let times = netpath(&bench.programs, probe, &pods).context(name)?;
        eprintln!("burst: netpath, {name}: {times}");
        ours.push((name, times));
    }
    let theirs = reference(&pods[..REFERENCE]).context("reference")?.added;
    let mut slow = Vec::new();
    for (name, Times { added, .. }) in ours {
        if added.p50 * FACTOR > theirs.p50 || added.p99 >= theirs.p50 {
            slow.push(format!("{name}: {added}"));
        }
    }
    ensure!(slow.is_empty(), "not {FACTOR} times faster than {theirs}: {}", slow.join("; "));
    Ok(Outcome::Passed)
}

/// An empty namespace, as a runtime has it ready.
fn pod(number: usize) -> Result<Namespace> {
    let namespace = Namespace::create(&format!("burst{number}"))?;
    namespace
        .sysctl(&[("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0")])?;
    Ok(namespace)
}

fn reference(pods: &[Namespace]) -> Result<Times> {
    let topology = Topology::build(1500)?;
    let folder = tempfile::tempdir().context("make a folder for host-local")?;
    let state = folder.path().join("host-local");
    let ranges = Family::BOTH.map(|family| {
        json!([{"subnet": Subnet::A.prefix(family), "gateway": Subnet::A.gateway().of(family)}])
    });
    let runtime = Runtime {
        node: &topology.nodes[NODE].namespace,
        plugin: Plugin::new(Path::new(PLUGINS).join("ipvlan")),
        socket: PathBuf::new(),
        config: json!({
            "cniVersion": "1.0.0", "name": "reference", "type": "ipvlan",
            "master": INTERFACE, "mode": "l2",
            "ipam": {
                "type": "host-local", "ranges": ranges, "dataDir": state,
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }),
    };
    let (added, _) = runtime.all("ADD", pods)?;
    eprintln!("burst: reference: ADD {added}");
    let (removed, _) = runtime.all("DEL", pods)?;
    eprintln!("burst: reference: DEL {removed}");
    nothing_allocated(&state)?;
    Ok(Times { added, removed })
}

fn netpath(programs: &Programs, probe: bool, pods: &[Namespace]) -> Result<Times> {
    let mut more = format!("[announce]\nprobe = {probe}\n");
    for (name, family) in [("v4", Family::Ipv4), ("v6", Family::Ipv6)] {
        let (subnet, gateway) = (Subnet::A.prefix(family), Subnet::A.gateway().of(family));
        writeln!(more, "[[pool]]\nname = '{name}'\nsubnet = '{subnet}'\ngateway = '{gateway}'")?;
    }
    let lab = Lab::build(programs, &Settings { more, ..Settings::default() }, 1500)?;
    let node = &lab.topology.nodes[NODE];
    let agent = Agent::start(programs, node, &lab.files[NODE])?;
    let runtime = Runtime {
        node: &node.namespace,
        plugin: Plugin::new(programs.plugin()),
        socket: agent.files.socket.clone(),
        config: json!({
            "cniVersion": "1.1.0", "name": "underlay", "type": "netpath-cni",
            "socket": agent.files.socket,
        }),
    };
    let (added, answers) = runtime.all("ADD", pods)?;
    for answer in answers.iter().step_by(STEP) {
        for address in addresses(answer)? {
            let answered = ask(&node.namespace, address, Proto::Icmp, Patience::EXPECTED)?;
            ensure!(answered, "{address} does not answer the node; {added}");
        }
    }
    let (removed, _) = runtime.all("DEL", pods)?;
    eprintln!("burst: afterwards, {}", churn::agree(agent, node, &[])?);
    Ok(Times { added, removed })
}

/// The addresses in an answer to ADD.
fn addresses(answer: &Value) -> Result<Vec<IpAddr>> {
    let ips = answer["ips"].as_array().context("no ips in the answer")?;
    let address = |ip: &Value| {
        let text = ip["address"].as_str().and_then(|text| text.split('/').next());
        text.context("no address")?.parse().context("an address")
    };
    let addresses: Vec<_> = ips.iter().map(address).collect::<Result<_>>()?;
    ensure!(addresses.len() == Family::BOTH.len(), "{addresses:?} instead of one a family");
    Ok(addresses)
}

/// A container runtime on a node, as far as it calls a plugin.
struct Runtime<'a> {
    node: &'a Namespace,
    plugin: Plugin,
    socket: PathBuf,
    config: Value,
}

impl Runtime<'_> {
    /// Calls the plugin for every pod, from several threads; tells what it answered to whom.
    fn all(&self, verb: &str, pods: &[Namespace]) -> Result<(Latency, Vec<Value>)> {
        let next = AtomicUsize::new(0);
        let begin = Instant::now();
        let caller = || self.node.enter(|| self.some(verb, pods, &next));
        let shares: Result<Vec<_>> = together([caller; CALLERS])?.into_iter().collect();
        let mut calls = shares?.concat();
        let whole = begin.elapsed();
        ensure!(calls.len() == pods.len(), "{} calls", calls.len());
        calls.sort_by_key(|(elapsed, _)| *elapsed);
        let at = |percent: usize| calls[(calls.len() * percent).div_ceil(100) - 1].0;
        let latency = Latency { p50: at(50), p99: at(99), max: at(100), whole };
        Ok((latency, calls.into_iter().map(|(_, answer)| answer).collect()))
    }

    /// The share of one caller.
    fn some(
        &self,
        verb: &str,
        pods: &[Namespace],
        next: &AtomicUsize,
    ) -> Result<Vec<(Duration, Value)>> {
        let mut calls = Vec::new();
        while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ground =
                Ground { socket: self.socket.clone(), netns: pod.path(), plugins: PLUGINS.into() };
            let outcome = self.plugin.run(&ground.call(verb, pod.name(), &self.config))?;
            let answer = match verb {
                "ADD" => outcome.answer(),
                _ => outcome.silence().map(|()| Value::Null),
            };
            calls
                .push((outcome.elapsed, answer.with_context(|| format!("{verb} {}", pod.name()))?));
        }
        Ok(calls)
    }
}

/// How long calls took.
#[derive(Clone, Copy, Debug)]
struct Latency {
    p50: Duration,
    p99: Duration,
    max: Duration,
    whole: Duration,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max, whole } = self;
        let (p50, p99, max) = (p50.as_millis(), p99.as_millis(), max.as_millis());
        write!(f, "p50 {p50} ms, p99 {p99} ms, max {max} ms, all in {:.1} s", whole.as_secs_f32())
    }
}

struct Times {
    added: Latency,
    removed: Latency,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ADD {}; DEL {}", self.added, self.removed)
    }
}
