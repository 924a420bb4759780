//! The kernel path: Services and node ports of the host's netfilter, as kube-proxy sets them up,
//! without source NAT. The way back must pass where the request passed.

use anyhow::{Context as _, Result, ensure};

use super::{Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family},
    agent::Settings,
    command,
    lab::Lab,
    probe::{Patience, Proto, probe_port},
    server::ECHO_PORT,
    table,
    topology::Place,
};

/// By where the backend is and who asks.
pub(super) fn scenarios() -> Vec<Scenario> {
    let settings =
        |switching: &str| Settings { switching: switching.into(), ..Settings::default() };
    let service = |name: &str, switching, client, backend| {
        let name = format!("service::{name}");
        Scenario::shared(name, &settings(switching), 1500, move |lab, _| {
            cluster_ip(lab, client, backend)
        })
    };
    let mut scenarios = vec![
        service("pod_to_node_process", "parent", "a1", "node1"),
        service("pod_to_pod_on_node", "parent", "a1", "b1"),
        service("pod_to_sibling", "parent", "a1", "a2"),
        service("pod_to_itself", "parent", "a1", "a1"),
        service("pod_to_pod_on_other_node", "parent", "a1", "a3"),
        service("pod_to_pod_on_other_node::driver", "driver", "a1", "a3"),
        service("pod_to_remote", "parent", "b1", "remote"),
        service("host_to_pod_on_node", "parent", "node1", "a1"),
        service("host_to_pod_on_other_node", "parent", "node1", "a3"),
    ];
    for switching in ["parent", "driver"] {
        for (name, backend) in [("pod_on_node", "a1"), ("pod_on_other_node", "a3")] {
            let name = format!("nodeport::{name}::{switching}");
            let scenario = Scenario::shared(name, &settings(switching), 1500, move |lab, _| {
                node_port(lab, backend)
            });
            scenarios.push(scenario);
        }
    }
    scenarios
}

/// The Service's address: nobody has it, only netfilter knows it.
const CLUSTER_IP: Dual = Dual {
    v4: std::net::Ipv4Addr::new(10, 96, 0, 10),
    v6: std::net::Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0xa),
};
const SERVICE_PORT: u16 = 80;
const NODE_PORT: u16 = 30_080;

fn cluster_ip(lab: &Lab, client: &str, backend: &str) -> Result<Outcome> {
    let backend = lab.topology.place(backend);
    translate(&lab.topology.nodes[0], CLUSTER_IP, SERVICE_PORT, backend.address, false)?;
    answers(lab, client, CLUSTER_IP, SERVICE_PORT)
}

fn node_port(lab: &Lab, backend: &str) -> Result<Outcome> {
    let node = &lab.topology.nodes[0];
    // A backend elsewhere would answer the client directly: kube-proxy masquerades there.
    let elsewhere = lab.topology.node_of(backend) != Some(0);
    let backend = lab.topology.place(backend).address;
    translate(node, node.address, NODE_PORT, backend, elsewhere)?;
    answers(lab, "remote", node.address, NODE_PORT)
}

/// Destination NAT on a node, for what it forwards and what it sends. Source NAT only where the
/// backend would answer itself, as kube-proxy does for a pod that calls its own Service, and where
/// `masquerade` says so.
fn translate(node: &Place, from: Dual, port: u16, to: Dual, masquerade: bool) -> Result<()> {
    let mut destination = Vec::new();
    let mut source = Vec::new();
    for (ip, (from, to), backend) in [
        ("ip", (from.v4.to_string(), to.v4.to_string()), format!("{}:{ECHO_PORT}", to.v4)),
        ("ip6", (from.v6.to_string(), to.v6.to_string()), format!("[{}]:{ECHO_PORT}", to.v6)),
    ] {
        for proto in ["tcp", "udp"] {
            let what = format!("{ip} daddr {from} {proto} dport {port}");
            destination.push(format!("{what} dnat {ip} to {backend}"));
        }
        let whose = if masquerade { String::new() } else { format!("{ip} saddr {to} ") };
        source.push(format!("{whose}{ip} daddr {to} ct status dnat masquerade"));
    }
    let (destination, source) = (destination.join("\n"), source.join("\n"));
    let rules = format!(
        "add table inet service
        delete table inet service
        table inet service {{
            chain forwarded {{ type nat hook prerouting priority dstnat;\n{destination}\n}}
            chain sent {{ type nat hook output priority -100;\n{destination}\n}}
            chain own {{ type nat hook postrouting priority srcnat;\n{source}\n}}
        }}\n"
    );
    let mut nft = node.namespace.command("nft");
    command::run_with_input(nft.args(["-f", "-"]), &rules).context("set up a Service")?;
    Ok(())
}

/// The translated address answers by TCP and UDP in both families, and again on flows that the
/// dataplane knows by now.
fn answers(lab: &Lab, client: &str, to: Dual, port: u16) -> Result<Outcome> {
    let servers = table::start_servers(&lab.topology)?;
    let namespace = &lab.topology.place(client).namespace;
    let mut silent = Vec::new();
    for family in Family::BOTH {
        for proto in [Proto::Tcp, Proto::Udp] {
            for round in ["first", "again"] {
                if !probe_port(namespace, to.of(family), port, proto, Patience::EXPECTED)? {
                    silent.push(format!("{} {} {round}", to.of(family), proto.name()));
                }
            }
        }
    }
    drop(servers);
    ensure!(silent.is_empty(), "no answer from {}", silent.join(", "));
    Ok(Outcome::Passed)
}
