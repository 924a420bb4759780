//! Large packets and large transfers by every local path.

use anyhow::{Context as _, Result, bail, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Family, SERVICE},
    agent::Settings,
    counter,
    lab::Lab,
    probe::{self, Patience},
    table,
    traffic::transfer,
};

/// By MTU and way of switching.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for mtu in [1500, 9000] {
        scenarios.push(Scenario::new(
            format!("transfer::pings_of_8000_bytes::mtu_{mtu}"),
            move |bench| pings(bench, mtu),
        ));
        for switching in ["parent", "driver"] {
            let settings = Settings { switching: switching.into(), ..Settings::default() };
            scenarios.push(Scenario::new(
                format!("transfer::tcp::mtu_{mtu}::{switching}"),
                move |bench| tcp(bench, &settings, mtu),
            ));
        }
    }
    scenarios
}

/// The local paths, and one over the wire.
const PAIRS: [(&str, &str); 6] =
    [("node1", "a1"), ("a1", "node1"), ("a1", "a2"), ("a1", "b1"), ("a1", "a3"), ("a1", "remote")];

fn pings(bench: &Bench, mtu: u32) -> Result<Outcome> {
    let lab = Lab::ready(&bench.programs, &Settings::default(), mtu)?;
    let mut silent = Vec::new();
    for (from, to) in PAIRS {
        for family in Family::BOTH {
            let (from, to) = (lab.topology.place(from), lab.topology.place(to));
            let address = to.address.of(family);
            if !probe::ping_of(&from.namespace, address, 8_000, Patience::EXPECTED)? {
                silent.push(format!("{} -> {} ({address})", from.name, to.name));
            }
        }
    }
    if silent.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("no answer to 8,000 bytes: {}", silent.join(", "))
}

fn tcp(bench: &Bench, settings: &Settings, mtu: u32) -> Result<Outcome> {
    let lab = Lab::ready(&bench.programs, settings, mtu)?;
    let servers = table::start_servers(&lab.topology)?;
    let bytes = bench.effort.megabytes * 1_000_000;
    for family in Family::BOTH {
        for (from, to) in PAIRS {
            let (from, to) = (lab.topology.place(from), lab.topology.place(to));
            transfer(&from.namespace, to.address.of(family), bytes)
                .with_context(|| format!("{} -> {} {family:?}", from.name, to.name))?;
        }
        let pod = lab.topology.place("b1");
        transfer(&pod.namespace, SERVICE.of(family), bytes)
            .with_context(|| format!("b1 -> service {family:?}"))?;
    }
    drop(servers);
    whole(&lab, mtu)?;
    Ok(Outcome::Passed)
}

/// The hooks saw packets larger than any wire carries: nobody cut them before or after.
fn whole(lab: &Lab, mtu: u32) -> Result<()> {
    let [agent, ..] = lab.agents.as_slice() else { bail!("no agent") };
    let (packets, bytes) = counter::of_path(&agent.counters()?, "local");
    let mean = bytes.checked_div(packets).context("no packet was counted as local")?;
    ensure!(mean > u64::from(mtu) + 14, "{mean} bytes per packet: GSO packets were cut");
    Ok(())
}
