//! Large packets and large transfers by every local path.

use anyhow::{Context as _, Result, bail, ensure};

use super::{Effort, Outcome, Scenario};
use crate::sandbox::{
    address::Family,
    agent::Settings,
    counter,
    lab::Lab,
    probe::{self, Patience},
    table::{self, SERVICE_NAME},
    traffic::transfer,
};

/// By MTU and way of switching.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mtu in [1500, 9000] {
        let parent = Settings::default();
        let name = |what| format!("transfer::{what}::mtu_{mtu}");
        scenarios.push(Scenario::shared(name("pings_of_8000_bytes"), &parent, mtu, pings));
        scenarios.push(Scenario::shared(name("local"), &parent, mtu, move |lab, effort| {
            transfers(lab, &LOCAL, effort.megabytes * MEGABYTE)?;
            whole(lab, mtu)
        }));
        scenarios.push(Scenario::shared(name("wire"), &parent, mtu, |lab, effort| {
            transfers(lab, &WIRE, effort.megabytes * MEGABYTE / 10)
        }));
    }
    let driver = Settings { switching: "driver".into(), ..Settings::default() };
    scenarios.push(Scenario::shared("transfer::local::driver", &driver, 1500, |lab, effort| {
        transfers(lab, &LOCAL, effort.megabytes * MEGABYTE)
    }));
    scenarios
}

const MEGABYTE: u64 = 1_000_000;

/// The local paths; the last one leads to the node-local service.
const LOCAL: [(&str, &str); 5] =
    [("node1", "a1"), ("a1", "node1"), ("a1", "a2"), ("a1", "b1"), ("b1", SERVICE_NAME)];

/// Paths over the wire, and back in.
const WIRE: [(&str, &str); 4] = [("a1", "a3"), ("node1", "a3"), ("a1", "remote"), ("remote", "b1")];

fn pings(lab: &Lab, _: Effort) -> Result<Outcome> {
    let mut silent = Vec::new();
    for (from, to) in LOCAL.iter().chain(&WIRE) {
        for family in Family::BOTH {
            let from = lab.topology.place(from);
            let address = table::target(&lab.topology, to).of(family);
            if !probe::ping_of(&from.namespace, address, 8_000, Patience::EXPECTED)? {
                silent.push(format!("{} -> {to} ({address})", from.name));
            }
        }
    }
    if silent.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("no answer to 8,000 bytes: {}", silent.join(", "))
}

fn transfers(lab: &Lab, pairs: &[(&str, &str)], bytes: u64) -> Result<Outcome> {
    let servers = table::start_servers(&lab.topology)?;
    for family in Family::BOTH {
        for (from, to) in pairs {
            let address = table::target(&lab.topology, to).of(family);
            transfer(&lab.topology.place(from).namespace, address, bytes)
                .with_context(|| format!("{from} -> {to} ({address})"))?;
        }
    }
    drop(servers);
    Ok(Outcome::Passed)
}

/// The hooks saw packets larger than any wire carries: nobody cut them before or after.
fn whole(lab: &Lab, mtu: u32) -> Result<Outcome> {
    let [agent, ..] = lab.agents.as_slice() else { bail!("no agent") };
    let (packets, bytes) = counter::of_path(&agent.counters()?, "local");
    let mean = bytes.checked_div(packets).context("no packet was counted as local")?;
    ensure!(mean > u64::from(mtu) + 14, "{mean} bytes per packet: GSO packets were cut");
    Ok(Outcome::Passed)
}
