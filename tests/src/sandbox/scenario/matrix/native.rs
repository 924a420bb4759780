//! Services as netpath has them, without a rule of netfilter.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    Asker, Seen,
    services::{CLUSTER, HOST_PORT, LOCAL, SERVICE_PORT, cluster_ip, load_balancer, port_of},
};
use crate::sandbox::{
    address::{Dual, Family},
    command,
    fabric::{Fabric, Pod, SEGMENTS, Translate},
    kernel,
    namespace::Namespace,
    server::ECHO_PORT,
};

/// Cluster IPs of Services that are asked at other addresses start so far above [`cluster_ip`].
const OTHERS: [usize; 2] = [100, 200];

/// Why a kernel leaves it out: guests have one of the four each, the running kernel all.
pub(super) fn left_out(translate: Translate, attach: &str) -> Result<Option<String>> {
    let own = [
        (Translate::Packet, "netlink"),
        (Translate::Auto, "netlink"),
        (Translate::Packet, "tcx"),
        (Translate::Auto, "tcx"),
    ];
    match kernel::guest()? {
        Some(guest) if own[guest] != (translate, attach) => {
            Ok(Some("it runs on another kernel".to_owned()))
        }
        Some(_) => Ok(None),
        None => kernel::without_hooks(attach),
    }
}

/// Gives both nodes two Services a pod: for who asks at the Service's address or a port of the node, and
/// for who may be led to this node's pods only. The first node alone has a third one, at a port of its
/// own addresses.
pub(super) fn set_up(fabric: &Fabric) -> Result<()> {
    let (mut everywhere, mut here) = (Vec::new(), Vec::new());
    for (number, pod) in fabric.pods.iter().enumerate() {
        let [cluster, local, host] = of(fabric, number, pod);
        everywhere.extend([cluster, local]);
        here.push(host);
    }
    fabric.apply(&everywhere.into())?;
    fabric.apply_at(0, &here.into())
}

fn of(fabric: &Fabric, number: usize, pod: &Pod) -> [Value; 3] {
    let service = |kind: &str, offset, port: u16, node_port: Option<u16>| {
        let ports = ["tcp", "udp"].map(|protocol| {
            json!({
                "name": protocol, "protocol": protocol, "port": port, "target": ECHO_PORT,
                "node_port": node_port,
            })
        });
        json!({
            "name": format!("{kind}/{}", pod.name),
            "cluster_ips": both(cluster_ip(number + offset)),
            "ports": ports,
            "endpoints": [{"addresses": both(pod.address), "node": fabric.nodes[pod.node].name}],
        })
    };
    let [local, host] = OTHERS;
    let cluster = service("cluster", 0, SERVICE_PORT, Some(port_of(CLUSTER, number)));
    let mut local = service("local", local, SERVICE_PORT, Some(port_of(LOCAL, number)));
    let balancers = (0..SEGMENTS).map(|segment| load_balancer(number, segment));
    local["load_balancer_ips"] = all(balancers);
    let mut host = service("host", host, port_of(HOST_PORT, number), None);
    host["external_ips"] = all((0..SEGMENTS).map(|segment| fabric.address_of(0, segment)));
    for service in [&mut local, &mut host] {
        service["external_policy"] = "local".into();
    }
    [cluster, local, host]
}

fn both(dual: Dual) -> [IpAddr; 2] {
    Family::BOTH.map(|family| dual.of(family))
}

fn all(duals: impl Iterator<Item = Dual>) -> Value {
    json!(duals.flat_map(both).collect::<Vec<_>>())
}

/// Whether a backend of the second node finds the first node's address on a segment. Its node has a route
/// of its own there, and IPv6 takes it although it leads by another parent than the backend's.
pub(super) fn leads_back(backend: &Pod, segment: usize) -> bool {
    backend.sort.segment == segment || backend.sort.segment != 0
}

/// Whom a backend sees: the asker, unless its answer would pass the asker's node by.
pub(super) fn seen(by: Translate, asker: Asker<'_>, backend: &Pod) -> Seen {
    let is_past = backend.node == 0 && backend.sort.is_exclusive();
    let hidden = match asker {
        Asker::Pod(pod) => {
            by == Translate::Packet
                && (pod.sort.is_exclusive() || is_past || pod.name == backend.name)
        }
        Asker::Host => true,
        Asker::Remote => is_past || backend.node != 0,
    };
    if hidden { Seen::Node } else { Seen::Asker }
}

/// An error if a node has rules of netfilter.
pub(super) fn is_without_rules(node: &Namespace) -> Result<()> {
    let rules = command::run(node.command("nft").args(["list", "ruleset"]))?;
    ensure!(rules.is_empty(), "rules: {rules}");
    Ok(())
}

/// An error if packets were translated, though the asker has sockets that could be.
pub(super) fn is_at_sockets(fabric: &Fabric) -> Result<()> {
    for agent in &fabric.agents {
        let connections = agent.netpath_json(&["conn", "list"])?;
        ensure!(connections == json!([]), "packets were translated: {connections}");
        let counters = agent.counters()?;
        let moved = counters.iter().find(|counter| counter.reason == "service");
        ensure!(moved.is_none(), "packets were translated: {moved:?}");
    }
    Ok(())
}
