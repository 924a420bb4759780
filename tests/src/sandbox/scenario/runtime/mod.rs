//! Real container runtimes: containers in the place of the first node's pods.
//!
//! They run in guests that have the runtimes (`cargo xtask test` knows by the names' prefix).

mod burst;
mod daemonset;
mod netpath;
mod reference;

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome, Scenario, table::surprises_or_passed};
use crate::sandbox::{
    address::Family,
    command,
    namespace::Namespace,
    probe::Proto,
    runtime::{Runtime, containerd::Containerd, network::List, podman::Podman},
    table::{self, Pair, Row},
    topology::{Pod, Topology},
};

/// Starts a runtime on a node, with its files in a folder.
type Start = for<'a> fn(&'a Namespace, &Path) -> Result<Box<dyn Runtime + 'a>>;

const RUNTIMES: [(&str, Start); 2] = [
    ("containerd", |node, folder| Ok(Box::new(Containerd::start(node, folder)?))),
    ("podman", |node, folder| Ok(Box::new(Podman::start(node, folder, &[Path::new(PLUGINS)])?))),
];

/// Two for each runtime: with Debian's plugins, and with netpath's.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = burst::scenarios();
    scenarios.push(Scenario::own("runtime::containerd::daemonset", daemonset::serves));
    for (name, start) in RUNTIMES {
        let with = |plugin: &str, run: fn(&Bench, Start) -> Result<Outcome>| {
            Scenario::own(format!("runtime::{name}::{plugin}"), move |bench| {
                if command::exists(name) {
                    run(bench, start)
                } else {
                    Ok(Outcome::Ignored(format!("there is no {name} here")))
                }
            })
        };
        scenarios.push(with("reference", |_, start| reference::containers(start)));
        scenarios.push(with("netpath", netpath::containers));
    }
    scenarios
}

/// Where Debian has the reference plugins.
const PLUGINS: &str = "/usr/lib/cni";

/// The node whose pods are containers.
const NODE: usize = 0;

/// Starts a container in the place of each pod of the first node, asks every pair of the table
/// and removes the containers.
fn table(
    topology: &Topology,
    runtime: &mut dyn Runtime,
    network: impl Fn(&Pod) -> List,
    expected: impl Fn(&Pair) -> bool,
) -> Result<Outcome> {
    start_all(topology, runtime, network)?;
    let rows = ask(topology, runtime, expected, |_, _, _| Ok(None))?;
    remove_all(topology, runtime)?;
    surprises_or_passed(&table::surprises(&rows))
}

/// The pods that containers stand for.
fn containers(topology: &Topology) -> impl Iterator<Item = &Pod> {
    topology.pods.iter().filter(|pod| pod.node == NODE)
}

/// Starts a container in the place of each pod of the first node.
fn start_all(
    topology: &Topology,
    runtime: &mut dyn Runtime,
    network: impl Fn(&Pod) -> List,
) -> Result<()> {
    for pod in containers(topology) {
        let name = pod.place.name;
        runtime.start(name, &network(pod)).with_context(|| format!("start container {name}"))?;
    }
    Ok(())
}

/// Removes the containers, each with its network.
fn remove_all(topology: &Topology, runtime: &mut dyn Runtime) -> Result<()> {
    for pod in containers(topology) {
        let name = pod.place.name;
        runtime.remove(name).with_context(|| format!("remove container {name}"))?;
    }
    Ok(())
}

/// Asks every pair of the table, inside the containers and everywhere else. `explain` names the
/// path from one address to another.
fn ask(
    topology: &Topology,
    runtime: &dyn Runtime,
    expected: impl Fn(&Pair) -> bool,
    explain: impl Fn(&Pair, IpAddr, IpAddr) -> Result<Option<String>>,
) -> Result<Vec<Row>> {
    let pods = topology.pods.iter().filter(|pod| pod.node != NODE).map(|pod| &pod.place);
    let own = topology.nodes.iter().chain([&topology.remote]);
    let servers = table::start_servers_of(topology, own.chain(pods))?;
    let mut rows = table::rows(topology, expected, explain)?;
    let is_container = |name: &str| containers(topology).any(|pod| pod.place.name == name);
    table::ask_all(topology, rows.iter_mut().filter(|row| !is_container(row.from)))?;
    for pod in containers(topology) {
        let name = pod.place.name;
        let answers = answers(topology, runtime, name)?;
        for row in rows.iter_mut().filter(|row| row.from == name) {
            let to = table::target(topology, row.to).of(row.family);
            row.ok = *answers.get(&(to, row.proto.name())).context("an answer is missing")?;
        }
    }
    drop(servers);
    Ok(rows)
}

/// What a container says about everyone that the table has it ask.
fn answers(
    topology: &Topology,
    runtime: &dyn Runtime,
    name: &str,
) -> Result<BTreeMap<(IpAddr, &'static str), bool>> {
    let pairs = table::PAIRS.iter().filter(|pair| pair.from == name);
    let targets: Vec<IpAddr> = pairs
        .flat_map(|pair| Family::BOTH.map(|family| table::target(topology, pair.to).of(family)))
        .collect();
    if targets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answers = runtime.ask(name, &targets)?;
    ensure!(answers.len() == targets.len() * Proto::ALL.len(), "{} answers", answers.len());
    Ok(answers.into_iter().map(|answer| ((answer.to, answer.proto.name()), answer.ok)).collect())
}

/// host-local keeps a file per address: none is left when its container is gone.
fn nothing_allocated(state: &Path) -> Result<()> {
    let mut left = Vec::new();
    for network in state.read_dir().with_context(|| format!("list {}", state.display()))? {
        let network = network?.path();
        for entry in network.read_dir().with_context(|| format!("list {}", network.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.parse::<IpAddr>().is_ok() {
                left.push(name);
            }
        }
    }
    ensure!(left.is_empty(), "still allocated: {}", left.join(", "));
    Ok(())
}
