//! The reachability table: who reaches whom, in both families, by ICMP, TCP and UDP.

use std::net::IpAddr;

use anyhow::Result;
use serde::Serialize;

use super::{
    address::{Dual, Family, SERVICE},
    probe::{Patience, Proto, probe},
    server::Server,
    together::together,
    topology::{Place, Topology},
};

/// A pair that the table asks about.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Who asks.
    pub from: &'static str,
    /// Who answers; `service` is the node-local service address.
    pub to: &'static str,
    /// What the pair stands for.
    pub about: &'static str,
    /// Whether plain ipvlan L2 can do it.
    pub plain: bool,
    /// The path that netpath must choose.
    pub path: &'static str,
}

const fn pair(
    (from, to): (&'static str, &'static str),
    about: &'static str,
    plain: bool,
    path: &'static str,
) -> Pair {
    Pair { from, to, about, plain, path }
}

/// The name of the node-local service address in the table.
pub const SERVICE_NAME: &str = "service";

/// Every kind of pair on an underlay node.
pub const PAIRS: [Pair; 14] = [
    pair(("node1", "a1"), "host to its pod", false, "local"),
    pair(("node1", "b1"), "host to its pod, other subnet", false, "local"),
    pair(("a1", "node1"), "pod to its host", false, "host"),
    pair(("b1", "node1"), "pod to its host, other subnet", false, "host"),
    pair(("a1", SERVICE_NAME), "pod to node-local service", false, "host"),
    pair(("b1", SERVICE_NAME), "pod to node-local service", false, "host"),
    pair(("a1", "a2"), "pod to pod, same subnet", true, "local"),
    pair(("a1", "b1"), "pod to pod, other subnet", true, "local"),
    pair(("a1", "a3"), "pod to pod, other node", true, "router"),
    pair(("a1", "b2"), "pod to pod, other node and subnet", true, "router"),
    pair(("node1", "a3"), "host to pod, other node", true, "router"),
    pair(("a3", "node1"), "pod to host, other node", true, "router"),
    pair(("a1", "remote"), "pod to remote", true, "router"),
    pair(("remote", "b1"), "remote to pod", true, "local"),
];

/// One question and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who asks.
    pub from: &'static str,
    /// Who should answer.
    pub to: &'static str,
    /// In which family.
    pub family: Family,
    /// By which protocol.
    pub proto: Proto,
    /// Whether an answer should come.
    pub expected: bool,
    /// Whether it came.
    pub ok: bool,
    /// The path that the dataplane says the flow takes; none without a dataplane.
    pub path: Option<String>,
    /// What the pair stands for; for people.
    #[serde(skip)]
    pub about: &'static str,
    /// The path that the flow should take, if there is a dataplane.
    #[serde(skip)]
    pub expected_path: &'static str,
}

impl Row {
    /// Whether the answer came or not as it should, by the path that it should.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        let path = self.path.as_deref();
        self.ok == self.expected && path.is_none_or(|path| path == self.expected_path)
    }
}

/// Whether every row is as expected.
#[must_use]
pub fn as_expected(rows: &[Row]) -> bool {
    rows.iter().all(Row::is_as_expected)
}

/// The rows that are not as expected, one line each.
#[must_use]
pub fn surprises(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .filter(|row| !row.is_as_expected())
        .map(|Row { from, to, family, proto, ok, path, .. }| {
            let outcome = if *ok { "answered" } else { "no answer" };
            let path = path.as_deref().unwrap_or("-");
            format!("{from} -> {to} {family:?} {}: {outcome} (path {path})", proto.name())
        })
        .collect()
}

/// Starts the servers of everyone who can be asked.
pub fn start_servers(topology: &Topology) -> Result<Vec<Server>> {
    start_servers_of(topology, topology.places())
}

/// Starts the servers of some places.
pub fn start_servers_of<'a>(
    topology: &Topology,
    places: impl Iterator<Item = &'a Place>,
) -> Result<Vec<Server>> {
    places
        .map(|place| {
            let service = topology.nodes.iter().any(|node| node.name == place.name);
            let duals = [Some(place.address), service.then_some(SERVICE)];
            let addresses: Vec<IpAddr> = duals
                .iter()
                .flatten()
                .flat_map(|dual| Family::BOTH.map(|family| dual.of(family)))
                .collect();
            Server::start(&place.namespace, &addresses)
        })
        .collect()
}

/// Asks everything at once. `explain` names the path from one address to another: of these flows,
/// which the host stack has no part in, the protocol makes no difference.
pub fn measure(
    topology: &Topology,
    expected: impl Fn(&Pair) -> bool,
    explain: impl Fn(&Pair, IpAddr, IpAddr) -> Result<Option<String>>,
) -> Result<Vec<Row>> {
    let servers = start_servers(topology)?;
    let mut rows = rows(topology, expected, explain)?;
    ask_all(topology, &mut rows)?;
    drop(servers);
    Ok(rows)
}

/// The questions of the table, not yet asked.
pub fn rows(
    topology: &Topology,
    expected: impl Fn(&Pair) -> bool,
    explain: impl Fn(&Pair, IpAddr, IpAddr) -> Result<Option<String>>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for pair in &PAIRS {
        for family in Family::BOTH {
            let from = topology.place(pair.from).address.of(family);
            let path = explain(pair, from, target(topology, pair.to).of(family))?;
            for proto in Proto::ALL {
                rows.push(Row {
                    from: pair.from,
                    to: pair.to,
                    family,
                    proto,
                    expected: expected(pair),
                    ok: false,
                    path: path.clone(),
                    about: pair.about,
                    expected_path: pair.path,
                });
            }
        }
    }
    Ok(rows)
}

/// The addresses that a name in the table stands for.
#[must_use]
pub fn target(topology: &Topology, name: &str) -> Dual {
    if name == SERVICE_NAME { SERVICE } else { topology.place(name).address }
}

/// Asks everything at once, from the places' own namespaces.
pub fn ask_all<'a>(topology: &Topology, rows: impl IntoIterator<Item = &'a mut Row>) -> Result<()> {
    let asks = rows.into_iter().map(|row| {
        move || {
            let from = &topology.place(row.from).namespace;
            let to = target(topology, row.to).of(row.family);
            let patience = if row.expected { Patience::EXPECTED } else { Patience::UNEXPECTED };
            row.ok = probe(from, to, row.proto, patience)?;
            Ok(())
        }
    });
    together(asks)?.into_iter().collect()
}
