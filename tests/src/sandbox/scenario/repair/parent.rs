//! The parent goes down and up again: the status tells, and its pods are reached again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome};
use crate::sandbox::{
    address::Family,
    agent::Settings,
    lab::Lab,
    probe::{Patience, Proto, probe},
    table,
    topology::INTERFACE,
    wait,
};

/// How long the agent may take to see and mend it.
const REPAIR: Duration = Duration::from_secs(20);

pub(super) fn down(bench: &Bench) -> Result<Outcome> {
    let lab = Lab::ready(&bench.programs, &Settings::default(), 1500)?;
    let servers = table::start_servers(&lab.topology)?;
    let node = &lab.topology.nodes[0].namespace;
    status_says_up(&lab, true)?;
    node.ip(&[format!("link set {INTERFACE} down")])?;
    status_says_up(&lab, false)?;
    node.ip(&[format!("link set {INTERFACE} up")])?;
    status_says_up(&lab, true)?;

    // The node's own routes went with the link and are its administrator's; the pods' did not.
    let mut silent = Vec::new();
    for family in Family::BOTH {
        for (from, to) in [("a1", "a2"), ("a1", "a3"), ("b1", "remote"), ("remote", "b1")] {
            let [from, to] = [from, to].map(|name| lab.topology.place(name));
            let address = to.address.of(family);
            if !probe(&from.namespace, address, Proto::Tcp, Patience::EXPECTED)? {
                silent.push(format!("{} to {address}", from.name));
            }
        }
    }
    drop(servers);
    ensure!(silent.is_empty(), "up again, but no answer: {}", silent.join(", "));
    let repairs = &lab.agents[0].netpath_json(&["status"])?["repairs"];
    ensure!(*repairs == serde_json::json!({}), "a parent that goes down loses nothing: {repairs}");
    Ok(Outcome::Passed)
}

/// Waits until node1's status has the parent up, without a warning, or down, with one.
fn status_says_up(lab: &Lab, up: bool) -> Result<()> {
    let word = if up { "up" } else { "down" };
    wait::until(&format!("the status has {INTERFACE} {word}"), REPAIR, || {
        let status = lab.agents[0].netpath_json(&["status"])?;
        let warnings = status["warnings"].as_array().context("the status has no warnings")?;
        let warning = format!("parent {INTERFACE}: is down");
        let told =
            warnings.iter().any(|text| text.as_str().is_some_and(|t| t.starts_with(&warning)));
        Ok((status["parents"][0]["up"] == up && told != up).then_some(()))
    })
}
