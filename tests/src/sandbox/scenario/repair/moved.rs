//! The parent changes, or is another one: its pods are reached again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome};
use crate::sandbox::{
    agent::Settings,
    host::{self, Host, pools},
    recovery::all_answer,
    topology::INTERFACE,
    wait,
};

/// Pods on the parent: more than the agent visits at once.
const PODS: u8 = 40;
/// Within which all of them are to be reached again.
const RECOVERY: Duration = Duration::from_secs(5);

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
    let usual =
        all_answer(&host.lab.topology.router, &addresses).context("before anything happens")?;
    eprintln!("  {:>5} ms nothing, {PODS} pods", usual.as_millis());

    let node = &host.node().namespace;
    let set = |what: &str| node.ip(&[format!("link set {INTERFACE} {what}")]);
    let mut problems = Vec::new();
    let mut recovers = |what: &str| -> Result<()> {
        match all_answer(&host.lab.topology.router, &addresses) {
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
