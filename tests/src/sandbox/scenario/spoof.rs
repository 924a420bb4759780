//! Nobody speaks for anybody else: forged frames are dropped and counted by reason.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Bench, Effort, Outcome, Scenario};
use crate::sandbox::{
    address::Family,
    agent::{Agent, Settings},
    counter,
    forgery::{self, Cast, Forgery},
    frame::Frame,
    lab::Lab,
    probe::{Patience, Proto, probe},
    table,
    topology::INTERFACE,
    wait,
    wire::Wire,
};

/// From a pod and from the wire.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::own("spoof::plain_ipvlan", plain)];
    for switching in ["parent", "driver"] {
        let settings = Settings { switching: switching.into(), ..Settings::default() };
        let name = format!("spoof::from_pod::{switching}");
        scenarios.push(Scenario::shared(name, &settings, 1500, from_pod));
    }
    for xdp in ["off", "generic", "native"] {
        let settings = Settings { xdp: xdp.into(), ..Settings::default() };
        let name = format!("spoof::from_wire::xdp_{xdp}");
        scenarios.push(Scenario::shared(name, &settings, 1500, from_wire));
    }
    scenarios
}

/// Plain ipvlan lets every forgery through: otherwise the other scenarios would prove nothing.
fn plain(bench: &Bench) -> Result<Outcome> {
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    lab.topology.add_plain_pods()?;
    let sender = Wire::open(&lab.topology.place("a1").namespace, INTERFACE)?;
    let mut wire = Wire::open(&lab.topology.router, "node1")?;
    let mut host = Wire::open_stack(&lab.topology.nodes[0].namespace, INTERFACE)?;
    for Forgery { name, reason: _, frame } in forgery::by_pod(&Cast::of(&lab.topology)?)? {
        sender.send(&frame.bytes)?;
        wait::until(&format!("{name} arrives"), LIMIT, || {
            let seen = [wire.seen()?, host.seen()?].concat();
            Ok(seen.iter().any(|seen| frame.is_in(seen)).then_some(()))
        })?;
    }
    Ok(Outcome::Passed)
}

/// How often each frame is sent.
const TIMES: u64 = 3;
/// How long the counters may take to move.
const LIMIT: Duration = Duration::from_secs(5);

fn from_pod(lab: &Lab, _: Effort) -> Result<Outcome> {
    let pod = &lab.topology.place("a1").namespace;
    let sender = Wire::open(pod, INTERFACE)?;
    let wire = Wire::open(&lab.topology.router, "node1")?;
    let host = Wire::open_stack(&lab.topology.nodes[0].namespace, INTERFACE)?;
    let forgeries = forgery::by_pod(&Cast::of(&lab.topology)?)?;
    judge(lab, &sender, &forgeries, [("the wire", wire), ("the host", host)])
}

fn from_wire(lab: &Lab, _: Effort) -> Result<Outcome> {
    let sender = Wire::open(&lab.topology.router, "node1")?;
    let pod = Wire::open(&lab.topology.place("a1").namespace, INTERFACE)?;
    let sibling = Wire::open(&lab.topology.place("b1").namespace, INTERFACE)?;
    let forgeries = forgery::by_wire(&Cast::of(&lab.topology)?)?;
    judge(lab, &sender, &forgeries, [("a1", pod), ("b1", sibling)])
}

/// Sends every forgery, and reports each that was seen where it must not be, or not counted.
fn judge<const N: usize>(
    lab: &Lab,
    sender: &Wire,
    forgeries: &[Forgery],
    mut ears: [(&str, Wire); N],
) -> Result<Outcome> {
    let [agent, ..] = lab.agents.as_slice() else { bail!("no agent") };
    let servers = table::start_servers(&lab.topology)?;
    let mut failures = Vec::new();
    for Forgery { name, reason, frame } in forgeries {
        if let Err(error) = dropped(agent, sender, frame, reason) {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    // Honest packets on the same ways come last: whatever was let through came before them.
    for (from, to) in [("a1", "remote"), ("a1", "node1"), ("remote", "b1")] {
        let (from, to) = (lab.topology.place(from), lab.topology.place(to));
        let honest =
            probe(&from.namespace, to.address.of(Family::Ipv4), Proto::Udp, Patience::EXPECTED)?;
        ensure!(honest, "{} -> {}: an honest packet was lost", from.name, to.name);
    }
    drop(servers);
    for (place, ear) in &mut ears {
        let seen = ear.seen()?;
        for Forgery { name, frame, .. } in forgeries {
            if seen.iter().any(|seen| frame.is_in(seen)) {
                failures.push(format!("{name}: arrived at {place}"));
            }
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {}: {}",
        failures.len(),
        forgeries.len(),
        failures.join("; ")
    );
    Ok(Outcome::Passed)
}

/// Sends a frame and waits until exactly that many drops were counted, for that reason only.
fn dropped(agent: &Agent, sender: &Wire, frame: &Frame, reason: &str) -> Result<()> {
    let before = agent.counters()?;
    let before = counter::drops(&before);
    for _ in 0..TIMES {
        sender.send(&frame.bytes)?;
    }
    let wanted = BTreeMap::from([(reason, TIMES)]);
    let mut last = String::new();
    wait::until("drops are counted", LIMIT, || {
        let after = agent.counters()?;
        let moved = counter::moved(&before, &counter::drops(&after));
        last = format!("{moved:?}");
        Ok((moved == wanted).then_some(()))
    })
    .with_context(|| format!("wanted {wanted:?}, got {last}"))
}
