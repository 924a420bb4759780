//! The dataplane outlives the agent, and the next agent adopts it: the same version, a newer or an
//! older one.

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
    let by_hooks = |name: &'static str, run: fn(&Bench, &str) -> Result<Outcome>| {
        ["tcx", "netlink"].map(|attach| {
            Scenario::own(format!("restart::{name}::attach_{attach}"), move |bench| {
                if let Some(why) = kernel::without_hooks(attach)? {
                    return Ok(Outcome::Ignored(why));
                }
                let middle = kernel::is(6, 1)? || kernel::is(6, 12)?;
                if name == "upgraded" && middle {
                    return Ok(Outcome::Ignored("it runs on Linux 5.10 and 7.3".to_owned()));
                }
                run(bench, attach)
            })
        })
    };
    by_hooks("killed", killed).into_iter().chain(by_hooks("upgraded", upgraded)).collect()
}

/// Bytes of a transfer, replies of a ping or datagrams that prove that traffic flows.
const STEPS: u64 = 100;

/// Traffic by node1's hooks, out and in; whatever is lost is an error.
fn load(lab: &Lab, rate: u64) -> Result<Traffic> {
    let mut traffic = Traffic::default();
    let place = |name| lab.topology.place(name);
    for family in Family::BOTH {
        for (from, to) in [("node1", "a1"), ("a1", "b1")] {
            let to = place(to).address.of(family);
            traffic.stream(&place(from).namespace, to)?;
            traffic.ping(&place(from).namespace, to)?;
        }
    }
    for (from, to, family) in [("a1", "b1", Family::Ipv4), ("remote", "a2", Family::Ipv6)] {
        let [from, to] =
            [place(from), place(to)].map(|end| (&end.namespace, end.address.of(family)));
        traffic.datagrams(from, to, rate / 2)?;
    }
    Ok(traffic)
}

/// To the next version and back, by an orderly end and by a kill.
fn upgraded(bench: &Bench, attach: &str) -> Result<Outcome> {
    let Some(next) = bench.programs.next() else {
        return Ok(Outcome::Ignored(
            "no agent of another version: cargo xtask test builds it".into(),
        ));
    };
    let settings = Settings { attach: attach.into(), ..Settings::default() };
    let mut lab = Lab::ready(&bench.programs, &settings, 1500)?;
    let servers = table::start_servers(&lab.topology)?;
    let before = links(&lab)?;
    let traffic = load(&lab, bench.effort.rate)?;
    traffic.moves_on(STEPS, "with the agent")?;
    let mut abi = lab.agents[0].netpath_json(&["status"])?["abi"].clone();
    for (programs, signal, what) in [
        (&next, Signal::SIGTERM, "upgraded"),
        (&bench.programs, Signal::SIGTERM, "downgraded"),
        (&next, Signal::SIGKILL, "upgraded after a kill"),
    ] {
        let files = lab.agents.remove(0).end(signal)?;
        traffic.moves_on(STEPS, "without an agent")?;
        let agent = Agent::start(programs, &lab.topology.nodes[0], &files)?;
        let now = agent.netpath_json(&["status"])?["abi"].clone();
        lab.agents.insert(0, agent);
        traffic.moves_on(STEPS, what)?;
        ensure!(abi != now, "{what}, and the ABI is still {now}");
        abi = now;
        let versions = fs::read_dir(&lab.files[0].pins)?.count();
        ensure!(versions == 1, "{what}, and pins of {versions} versions are there");
        eprintln!("restart: {what} with {attach}, ABI {abi}");
        let after = links(&lab)?;
        ensure!(before == after, "{what}, not adopted: before {before:?}, after {after:?}");
    }
    traffic.finish()?;
    drop(servers);
    surprises_or_passed(&table::surprises(&lab.table_after()?))
}

/// The links and filters among the objects, by file, whichever version they are pinned under.
fn links(lab: &Lab) -> Result<BTreeMap<String, String>> {
    let name = |place: String| place.rsplit('/').next().unwrap_or_default().to_owned();
    let objects = objects(lab)?.into_iter().map(|(place, object)| (name(place), object));
    Ok(objects.filter(|(_, object)| !object.starts_with("map ")).collect())
}

fn killed(bench: &Bench, attach: &str) -> Result<Outcome> {
    let settings = Settings { attach: attach.into(), ..Settings::default() };
    let mut lab = Lab::ready(&bench.programs, &settings, 1500)?;
    let servers = table::start_servers(&lab.topology)?;
    let before = objects(&lab)?;
    let traffic = load(&lab, bench.effort.rate)?;
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
