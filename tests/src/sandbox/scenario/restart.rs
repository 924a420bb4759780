//! The dataplane outlives the agent, and the next agent adopts it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::{Bench, Outcome, Scenario, table::surprises_or_passed};
use crate::sandbox::{
    address::Family,
    agent::{Agent, Settings},
    command, kernel,
    lab::Lab,
    table,
    topology::INTERFACE,
    traffic::Traffic,
};

/// By generation of TC hooks.
pub(super) fn scenarios() -> Vec<Scenario> {
    ["tcx", "netlink"]
        .map(|attach| {
            Scenario::own(format!("restart::killed::attach_{attach}"), move |bench| {
                if attach == "tcx" && !kernel::at_least(6, 6)? {
                    return Ok(Outcome::Ignored("tcx links need Linux 6.6".into()));
                }
                killed(bench, attach)
            })
        })
        .into()
}

/// Bytes of a transfer or replies of a ping that prove that traffic flows.
const STEPS: u64 = 100;

fn killed(bench: &Bench, attach: &str) -> Result<Outcome> {
    let settings = Settings { attach: attach.into(), ..Settings::default() };
    let mut lab = Lab::ready(&bench.programs, &settings, 1500)?;
    let servers = table::start_servers(&lab.topology)?;
    let before = objects(&lab)?;

    let mut traffic = Traffic::default();
    let place = |name| lab.topology.place(name);
    for family in Family::BOTH {
        for (from, to) in [("node1", "a1"), ("a1", "b1")] {
            let to = place(to).address.of(family);
            traffic.stream(&place(from).namespace, to)?;
            traffic.ping(&place(from).namespace, to)?;
        }
    }
    traffic.moves_on(STEPS, "with the agent")?;
    let files = lab.agents.remove(0).end(Signal::SIGKILL)?;
    traffic.moves_on(STEPS, "without an agent")?;
    let agent = Agent::start(&lab.programs, &lab.topology.nodes[0], &files)?;
    lab.agents.insert(0, agent);
    traffic.moves_on(STEPS, "with the next agent")?;
    traffic.finish()?;

    let after = objects(&lab)?;
    ensure!(before == after, "not adopted: before {before:?}, after {after:?}");
    drop(servers);
    surprises_or_passed(&table::surprises(&lab.table_after()?))
}

#[derive(Deserialize)]
struct Object {
    id: u32,
}

/// The kernel's numbers of everything that node1's agent pinned or attached, by place.
fn objects(lab: &Lab) -> Result<BTreeMap<String, String>> {
    let mut objects = BTreeMap::new();
    pinned(&lab.files[0].pins, &mut objects)?;
    ensure!(!objects.is_empty(), "nothing is pinned below {}", lab.files[0].pins.display());
    for side in ["ingress", "egress"] {
        let node = lab.topology.nodes[0].namespace.name();
        let mut tc = Command::new("tc");
        tc.args(["-n", node, "filter", "show", "dev", INTERFACE, side]);
        let filters = String::from_utf8_lossy(&command::output(&mut tc)?.stdout).into_owned();
        // The filter stays, with its priority and handle; the program in it is the new agent's.
        let filters: Vec<_> =
            filters.lines().filter_map(|line| line.split(" id ").next()).collect();
        objects.insert(format!("filters {side}"), filters.join("\n"));
    }
    Ok(objects)
}

fn pinned(folder: &Path, objects: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            pinned(&path, objects)?;
        } else {
            objects.insert(path.display().to_string(), id(&path)?);
        }
    }
    Ok(())
}

/// What kind of object is pinned there and which number it has.
fn id(path: &Path) -> Result<String> {
    for kind in ["map", "link", "prog"] {
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["-j", kind, "show", "pinned"]).arg(path);
        if let Ok(text) = command::run(&mut bpftool) {
            let Object { id } = serde_json::from_str(&text)
                .with_context(|| format!("bpftool {kind} show pinned {}", path.display()))?;
            return Ok(format!("{kind} {id}"));
        }
    }
    bail!("{}: bpftool knows neither a map nor a link nor a program there", path.display())
}
