//! `netpath-agent cleanup` leaves the node as it was.

use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    agent::{self, Settings},
    command, kernel,
    lab::Lab,
    snapshot::Snapshot,
    table,
    topology::{INTERFACE, Topology},
};

/// By generation of TC hooks, after an orderly end and after a kill, with XDP and without.
pub(super) fn scenarios() -> Vec<Scenario> {
    [("tcx", "generic", Signal::SIGTERM), ("netlink", "native", Signal::SIGKILL)]
        .map(|(attach, xdp, signal)| {
            Scenario::own(format!("cleanup::attach_{attach}::after_{signal}"), move |bench| {
                if attach == "tcx" && !kernel::at_least(6, 6)? {
                    return Ok(Outcome::Ignored("tcx links need Linux 6.6".into()));
                }
                let settings =
                    Settings { attach: attach.into(), xdp: xdp.into(), ..Settings::default() };
                leaves_nothing(bench, &settings, signal)
            })
        })
        .into()
}

fn leaves_nothing(bench: &Bench, settings: &Settings, signal: Signal) -> Result<Outcome> {
    let mut lab = Lab::build(&bench.programs, settings, 1500)?;
    let look = |lab: &Lab| Snapshot::take(&lab.topology.nodes[0], &lab.files[0].pins);
    let before = look(&lab)?;
    lab.start_agents()?;
    lab.add_endpoints()?;
    // Traffic fills neighbour tables and flows.
    lab.table_after()?;
    ensure!(!before.differences(&look(&lab)?).is_empty(), "the agent left no trace to clean up");
    let files = lab.agents.remove(0).end(signal)?;
    agent::cleanup(&lab.programs, &lab.topology.nodes[0], &files)?;
    let mut left = before.differences(&look(&lab)?);
    left.extend(pods_that_are_neighbours(&lab.topology)?);
    ensure!(left.is_empty(), "left behind: {}", left.join("; "));
    // Plain pods work as on a node that never saw netpath.
    lab.agents.clear();
    for pod in lab.topology.pods.iter().filter(|pod| pod.node != 0) {
        pod.place.namespace.ip(&[format!("link del {INTERFACE}")])?;
    }
    agent::cleanup(&lab.programs, &lab.topology.nodes[1], &lab.files[1])?;
    let surprises = table::surprises(&lab.table_before()?);
    ensure!(surprises.is_empty(), "plain pods afterwards: {}", surprises.join("; "));
    Ok(Outcome::Passed)
}

/// Node1's neighbour entries for its own pods: without netpath there is no such neighbour.
fn pods_that_are_neighbours(topology: &Topology) -> Result<Vec<String>> {
    let node = topology.nodes[0].namespace.name();
    let neighbours =
        command::run(Command::new("ip").args(["-n", node, "neighbour", "show", "dev", INTERFACE]))?;
    let own = topology.pods.iter().filter(|pod| pod.node == 0);
    let addresses: Vec<_> = own
        .flat_map(|pod| [pod.place.address.v4.to_string(), pod.place.address.v6.to_string()])
        .collect();
    let known = neighbours.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|address| addresses.iter().any(|own| own == address))
            && line.contains("lladdr")
    });
    Ok(known.map(|line| format!("neighbour {line}")).collect())
}
