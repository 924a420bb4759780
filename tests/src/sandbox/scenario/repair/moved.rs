//! The parent changes, or is another one: its pods are reached again.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{Bench, Outcome};
use crate::sandbox::{
    agent::Settings,
    host::{self, Host, pools},
    probe::Pinger,
    topology::INTERFACE,
    wait,
};

/// Pods on the parent: more than the agent visits at once.
const PODS: u8 = 40;
/// Within which all of them are to be reached again.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long it is waited for, so that the figure of what falls short is known.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions to the same address: an emulated guest needs that long for all of them.
const PACE: Duration = Duration::from_millis(500);

pub(super) fn moved(bench: &Bench) -> Result<Outcome> {
    let settings = Settings {
        more: format!("[announce]\nprobe = false\n{}", pools(100, 100 + PODS)),
        ..Settings::default()
    };
    let host = Host::start(&bench.programs, &settings)?;
    host.lab.topology.router.sysctl(&[("ipv4/ping_group_range", "0 0")])?;
    let mut pods = Vec::new();
    let mut addresses = Vec::new();
    for number in 0..PODS {
        let pod = host.sandbox(&format!("p{number}"))?;
        addresses.extend(host::addresses(&host.add(&pod)?.answer()?)?);
        pods.push(pod);
    }
    let usual = all_answer(&host, &addresses).context("before anything happens")?;
    eprintln!("  {:>5} ms nothing, {PODS} pods", usual.as_millis());

    let node = &host.node().namespace;
    let set = |what: &str| node.ip(&[format!("link set {INTERFACE} {what}")]);
    let mut problems = Vec::new();
    let mut recovers = |what: &str| -> Result<()> {
        match all_answer(&host, &addresses) {
            Ok(time) => {
                eprintln!("  {:>5} ms {what}, {PODS} pods", time.as_millis());
                if time > RECOVERY {
                    problems.push(format!("{what}: only after {} ms", time.as_millis()));
                }
            }
            Err(error) => problems.push(format!("{what}: {error:#}")),
        }
        wait::check_interrupt()
    };
    set("down")?;
    set("up")?;
    recovers("parent down and up")?;
    set("address 02:00:00:00:0a:01")?;
    recovers("another MAC")?;
    set("mtu 1400")?;
    recovers("another MTU")?;
    // Old kernels rename no interface that is up.
    let rename = [
        format!("link set {INTERFACE} down"),
        format!("link set {INTERFACE} name away0"),
        format!("link set away0 name {INTERFACE}"),
        format!("link set {INTERFACE} up"),
    ];
    node.ip(&rename)?;
    recovers("another name, and the old one again")?;
    node.ip(&[format!("link del {INTERFACE}")])?;
    host.lab.topology.plug_in(host.node())?;
    recovers("deleted and made anew")?;
    host.no_panic()?;
    drop(pods);
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok(Outcome::Passed)
}

/// Asks all addresses from the router until each has answered. Returns how long that took.
fn all_answer(host: &Host, addresses: &[IpAddr]) -> Result<Duration> {
    let start = Instant::now();
    let open = || addresses.iter().map(|address| Ok((*address, Pinger::open(*address)?))).collect();
    let pingers: Vec<(IpAddr, Pinger)> = host.lab.topology.router.enter(open)?;
    let silent: Vec<IpAddr> = thread::scope(|scope| {
        let threads: Vec<_> = pingers
            .into_iter()
            .map(|(address, pinger)| {
                scope.spawn(move || (!answers(pinger, start)).then_some(address))
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow!("panicked"))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    let time = start.elapsed();
    ensure!(silent.is_empty(), "no answer after {} s: {silent:?}", time.as_secs());
    Ok(time)
}

fn answers(mut pinger: Pinger, start: Instant) -> bool {
    while start.elapsed() < PATIENCE {
        let asked = Instant::now();
        if pinger.ping(56, PACE).is_ok() {
            return true;
        }
        // An error that comes at once, such as an unreachable host, is no reason to hurry.
        thread::sleep(PACE.saturating_sub(asked.elapsed()));
    }
    false
}
