//! The hook of the loopback device: there while it is wanted, and put right when it is lost.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use netpath_common::ABI;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Bench, Outcome};
use crate::sandbox::{
    command,
    fabric::{Fabric, Plan, Translate},
    kernel, wait,
};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn loopback(bench: &Bench, attach: &'static str) -> Result<Outcome> {
    if !kernel::is(5, 10)? && !kernel::is(6, 12)? {
        return Ok(Outcome::Ignored("one kernel a generation of hooks: 5.10 and 6.12".to_owned()));
    }
    if !kernel::has_ipvlan("netpath-loopback")? {
        return Ok(Outcome::Ignored("this kernel has no ipvlan".to_owned()));
    }
    let services = Some(Translate::Packet);
    let plan = Plan { attach, all: true, nodes: 1, services, ..Plan::default() };
    let mut fabric = Fabric::build(&bench.programs, plan)?;
    let pin = fabric.agents[0].files.pins.join(format!("v{ABI}/links/1-loopback"));
    let is_there = |fabric: &Fabric| -> Result<bool> {
        let Some(program) = hook(fabric)? else { return Ok(false) };
        if attach == "tcx" {
            return Ok(pin.exists());
        }
        let filters = tc(fabric, "filter show dev lo ingress")?;
        Ok(filters.contains(&format!(" id {program} ")))
    };
    ensure!(is_there(&fabric)?, "the loopback device has no hook: {:?}", hook(&fabric)?);
    let losses: &[&str] = if attach == "tcx" {
        &["pin"]
    } else {
        &["filter del dev lo ingress", "qdisc del dev lo clsact"]
    };
    for loss in losses {
        let before = repairs(&fabric)?;
        match *loss {
            "pin" => fs::remove_file(&pin).context("remove the pin")?,
            line => drop(tc(&fabric, line)?),
        }
        wait::until(loss, PATIENCE, || {
            Ok((is_there(&fabric)? && repairs(&fabric)? > before).then_some(()))
        })?;
    }
    for pod in fabric.pods.iter().filter(|pod| matches!(pod.sort.letter, "l" | "t")) {
        ensure!(is_there(&fabric)?, "the hook went before {}", pod.name);
        fabric.agents[0].netpath(&["endpoint", "del", &pod.name])?;
    }
    ensure!(hook(&fabric)?.is_none(), "the hook is left without an endpoint that wants it");
    is_clean(&fabric, &pin)?;
    // What is attached when the agent ends is the clean-up's to remove.
    let wanting = fabric.pods.iter().find(|pod| pod.sort.letter == "l").context("no L3 pod")?;
    fabric.add(wanting)?;
    ensure!(is_there(&fabric)?, "the hook did not come back");
    fabric.agents.remove(0).end(Signal::SIGKILL)?;
    fabric.cleanup(0)?;
    is_clean(&fabric, &pin)?;
    Ok(Outcome::Passed)
}

/// An error if something is left.
fn is_clean(fabric: &Fabric, pin: &Path) -> Result<()> {
    ensure!(!pin.exists(), "the link is left");
    let qdiscs = tc(fabric, "qdisc show dev lo")?;
    ensure!(!qdiscs.contains("clsact"), "the qdisc is left: {qdiscs}");
    Ok(())
}

fn tc(fabric: &Fabric, line: &str) -> Result<String> {
    let node = fabric.nodes[0].namespace.name();
    command::run(Command::new("tc").args(["-n", node]).args(line.split(' ')))
}

fn status(fabric: &Fabric) -> Result<Value> {
    fabric.agents[0].netpath_json(&["status"])
}

/// The number of the hook's program.
fn hook(fabric: &Fabric) -> Result<Option<u64>> {
    Ok(status(fabric)?["loopback"]["program"].as_u64())
}

fn repairs(fabric: &Fabric) -> Result<u64> {
    Ok(status(fabric)?["repairs"]["hook"].as_u64().unwrap_or(0))
}
