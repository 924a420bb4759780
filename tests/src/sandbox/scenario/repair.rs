//! What somebody breaks while the agent runs: hooks come back and are counted; a parent that goes
//! down is told, and works again when it is up.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome, Scenario, table::surprises_or_passed};
use crate::sandbox::{
    address::Family,
    agent::Settings,
    command, kernel,
    lab::Lab,
    probe::{Patience, Proto, probe},
    table,
    topology::INTERFACE,
    wait,
};

/// Hooks by generation, and the parent.
pub(super) fn scenarios() -> Vec<Scenario> {
    let hooks = ["tcx", "netlink"].map(|attach| {
        Scenario::own(format!("repair::hooks::attach_{attach}"), move |bench| {
            if attach == "tcx" && !kernel::at_least(6, 6)? {
                return Ok(Outcome::Ignored("tcx links need Linux 6.6".into()));
            }
            hooks(bench, attach)
        })
    });
    let mut scenarios = Vec::from(hooks);
    scenarios.push(Scenario::own("repair::parent_down", parent_down));
    scenarios
}

/// How long the agent may take to see and mend it.
const REPAIR: Duration = Duration::from_secs(20);

fn hooks(bench: &Bench, attach: &str) -> Result<Outcome> {
    let settings = Settings { attach: attach.into(), xdp: "generic".into(), ..Settings::default() };
    let mut lab = Lab::build(&bench.programs, &settings, 1500)?;
    // Nothing tells that a link is gone: the agent finds out when it looks.
    let config = fs::read_to_string(&lab.files[0].config)?;
    let often = config.replace("[datapath]\n", "[datapath]\nreconcile_seconds = 1\n");
    ensure!(often != config, "the configuration has no section datapath");
    fs::write(&lab.files[0].config, often)?;
    lab.start_agents()?;
    lab.add_endpoints()?;
    ensure!(repairs(&lab)? == 0, "something was repaired before anything was broken");

    let node = lab.topology.nodes[0].namespace.name().to_owned();
    let tc = |arguments: &[&str]| {
        command::run(Command::new("tc").args(["-n", &node]).args(arguments)).map(drop)
    };
    if attach == "tcx" {
        remove_links(&lab)?;
        repaired(&lab, 3, "the links")?;
    } else {
        tc(&["filter", "del", "dev", INTERFACE, "egress"])?;
        repaired(&lab, 1, "a filter")?;
        tc(&["qdisc", "del", "dev", INTERFACE, "clsact"])?;
        repaired(&lab, 3, "the qdisc")?;
        remove_links(&lab)?;
        repaired(&lab, 4, "the link of XDP")?;
    }
    surprises_or_passed(&table::surprises(&lab.table_after()?))
}

/// Removes every pinned link of node1, which detaches its program.
fn remove_links(lab: &Lab) -> Result<()> {
    for version in fs::read_dir(&lab.files[0].pins)? {
        let links = version?.path().join("links");
        for link in fs::read_dir(&links).with_context(|| format!("list {}", links.display()))? {
            fs::remove_file(link?.path())?;
        }
    }
    Ok(())
}

/// Waits until the agent of node1 has counted as many repairs, which must be all.
fn repaired(lab: &Lab, expected: u64, what: &str) -> Result<()> {
    let count = wait::until(&format!("{what} and a count of {expected}"), REPAIR, || {
        Ok(Some(repairs(lab)?).filter(|count| *count >= expected))
    })?;
    ensure!(count == expected, "{what}: {count} repairs counted instead of {expected}");
    Ok(())
}

fn repairs(lab: &Lab) -> Result<u64> {
    let status = lab.agents[0].netpath_json(&["status"])?;
    let kinds = status["repairs"].as_object().context("the status has no repairs")?;
    Ok(kinds.values().filter_map(serde_json::Value::as_u64).sum())
}

fn parent_down(bench: &Bench) -> Result<Outcome> {
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
    ensure!(repairs(&lab)? == 0, "a parent that goes down loses no hooks");
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
