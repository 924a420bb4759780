//! The same without netfilter: netpath translates by itself.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    Ask, Outcome, Seen, ask, lead_to_node, questions,
    services::{CLUSTER, HOST_PORT, LOCAL, SERVICE_PORT, cluster_ip, load_balancer, port_of},
};
use crate::sandbox::{
    address::{Dual, Family},
    cgroup::Cgroup,
    command,
    fabric::{Fabric, Plan, Pod, SEGMENTS},
    scenario::Bench,
    server::ECHO_PORT,
};

/// Asks every question of nodes that have no rule of netfilter.
pub(super) fn matrix(bench: &Bench, translate: &'static str) -> Result<Outcome> {
    let plan = Plan { translate: Some(translate), ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    apply(&fabric)?;
    for node in &fabric.nodes {
        let rules = command::run(node.namespace.command("nft").args(["list", "ruleset"]))?;
        ensure!(rules.trim().is_empty(), "{} has rules of netfilter: {rules}", node.name);
    }
    lead_to_node(&fabric)?;
    let _servers = fabric.start_servers()?;
    let asks: Vec<_> = questions(&fabric).into_iter().map(|ask| as_we_do(&fabric, ask)).collect();
    let count = asks.len();
    let (inside, outside): (Vec<_>, Vec<_>) =
        asks.into_iter().partition(|ask| ask.from.0 != fabric.remote.name);
    let mut wrong = Vec::new();
    // Who asks from this node has its sockets translated, if anybody has.
    let guest = fabric.cgroups.first().map(Cgroup::join).transpose()?;
    for some in inside.chunks(8) {
        wrong.extend(ask(&fabric, some)?);
    }
    if guest.is_some() {
        let connections = fabric.agents[0].netpath_json(&["conn", "list"])?;
        ensure!(connections == json!([]), "packets were translated: {connections}");
    }
    drop(guest);
    for some in outside.chunks(8) {
        wrong.extend(ask(&fabric, some)?);
    }
    eprintln!("matrix: {count} questions, 2 families, 2 protocols, each twice");
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    Ok(Outcome::Passed)
}

/// Nobody is hidden but who calls itself, and by packets: all backends of these questions answer through
/// this node.
fn as_we_do<'a>(fabric: &'a Fabric, question: Ask<'a>) -> Ask<'a> {
    let from_remote = question.from.0 == fabric.remote.name;
    let by_socket = !fabric.cgroups.is_empty() && question.from.0 != fabric.nodes[0].name;
    Ask { seen: if from_remote || by_socket { Seen::Asker } else { question.seen }, ..question }
}

/// Gives every node the same Services.
fn apply(fabric: &Fabric) -> Result<()> {
    let text = serde_json::to_string(&services(fabric))?;
    for agent in &fabric.agents {
        agent.apply_services(&text).context("apply the Services")?;
    }
    Ok(())
}

/// One a pod and a way to ask for it.
fn services(fabric: &Fabric) -> Value {
    let mut services = Vec::new();
    for (number, pod) in fabric.pods.iter().enumerate() {
        let endpoints = endpoints(fabric, pod);
        let service = |name: &str, ips: Vec<IpAddr>, ports: Value, more: Value| {
            let mut service = json!({
                "name": format!("{name}/{}", pod.name),
                "cluster_ips": ips,
                "ports": ports,
                "endpoints": endpoints,
            });
            if let (Some(service), Some(more)) = (service.as_object_mut(), more.as_object()) {
                service.extend(more.clone());
            }
            service
        };
        let balancers: Vec<_> =
            (0..SEGMENTS).flat_map(|segment| both(load_balancer(number, segment))).collect();
        let local = json!({ "load_balancer_ips": balancers, "external_policy": "local" });
        services.push(service(
            "cluster",
            both(cluster_ip(number)),
            ports(SERVICE_PORT, None),
            local,
        ));
        if pod.node != 0 {
            continue;
        }
        let port = |base| Some(port_of(base, number));
        let policy = |policy: &str| json!({ "external_policy": policy });
        let other = |kind: u8| both(another(cluster_ip(number), kind));
        let by = |base| ports(SERVICE_PORT, port(base));
        services.push(service("node-port", other(1), by(CLUSTER), policy("cluster")));
        services.push(service("node-port-local", other(2), by(LOCAL), policy("local")));
        let own: std::collections::BTreeSet<_> = [0, pod.sort.segment]
            .map(|segment| fabric.address_of(0, segment))
            .map(both)
            .concat()
            .into_iter()
            .collect();
        let host = json!({ "external_ips": own, "external_policy": "local" });
        services.push(service(
            "host-port",
            other(3),
            ports(port_of(HOST_PORT, number), None),
            host,
        ));
    }
    Value::Array(services)
}

fn endpoints(fabric: &Fabric, pod: &Pod) -> Value {
    json!([{ "addresses": both(pod.address), "node": fabric.nodes[pod.node].name }])
}

fn ports(port: u16, node_port: Option<u16>) -> Value {
    let one = |protocol: &str| {
        let mut one =
            json!({ "name": protocol, "protocol": protocol, "port": port, "target": ECHO_PORT });
        if let Some(node_port) = node_port {
            one["node_port"] = node_port.into();
        }
        one
    };
    json!([one("tcp"), one("udp")])
}

fn both(dual: Dual) -> Vec<IpAddr> {
    Family::BOTH.map(|family| dual.of(family)).to_vec()
}

/// An address of the same Service prefix that no other has.
fn another(of: Dual, kind: u8) -> Dual {
    let [a, b, _, d] = of.v4.octets();
    let mut segments = of.v6.segments();
    segments[6] = kind.into();
    Dual { v4: [a, b, kind, d].into(), v6: segments.into() }
}
