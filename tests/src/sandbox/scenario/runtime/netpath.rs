//! Containers that netpath's plugin attaches, whichever runtime starts them.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    super::{Bench, table::surprises_or_passed},
    NODE, Outcome, Start, ask, remove_all, start_all,
};
use crate::sandbox::{
    address::{Dual, Family, Subnet},
    agent::{Files, Settings},
    churn,
    lab::Lab,
    namespace::Namespace,
    probe::{Patience, Proto, probe_port},
    runtime::network::{List, ping_sockets},
    server::ECHO_PORT,
    table,
    topology::Pod,
};

/// The container that a port of the node leads to.
const PUBLISHED: &str = "a1";
/// That port.
const HOST_PORT: u16 = 8007;

/// Asks the table from containers and everybody else, and the published port from outside and from
/// the node; removes the containers; looks for what is left of them.
pub(super) fn containers(bench: &Bench, start: Start) -> Result<Outcome> {
    let settings = Settings { more: pools(), ..Settings::default() };
    let mut lab = Lab::build(&bench.programs, &settings, 1500)?;
    lab.start_agents()?;
    for pod in lab.topology.pods.iter().filter(|pod| pod.node != NODE) {
        lab.agents[pod.node].add_endpoint(pod).with_context(|| pod.place.name)?;
    }
    let node = &lab.topology.nodes[NODE];
    let mut runtime = start(&node.namespace, &lab.folder.path().join("runtime"))?;
    start_all(&lab.topology, &mut *runtime, |pod| list(pod, &lab.files[NODE]))?;
    let rows =
        ask(&lab.topology, &*runtime, |_| true, |pair, from, to| lab.explain(pair, from, to))?;
    let mut surprises = table::surprises(&rows);
    surprises.extend(unpublished(&lab)?);
    remove_all(&lab.topology, &mut *runtime)?;
    drop(runtime);
    let agent = lab.agents.remove(NODE);
    let left = churn::agree(agent, &lab.topology.nodes[NODE], &[])?;
    eprintln!("{} questions and a published port; afterwards {left}", rows.len());
    surprises_or_passed(&surprises)
}

/// A pool for each subnet and family, of all its addresses.
fn pools() -> String {
    let pool = |name: &str, subnet: Subnet, family| {
        format!(
            "[[pool]]\nname = '{name}'\nsubnet = '{}'\ngateway = '{}'\n",
            subnet.prefix(family),
            subnet.gateway().of(family)
        )
    };
    let all = [("a4", Subnet::A, Family::Ipv4), ("a6", Subnet::A, Family::Ipv6)]
        .into_iter()
        .chain([("b4", Subnet::B, Family::Ipv4), ("b6", Subnet::B, Family::Ipv6)]);
    all.map(|(name, subnet, family)| pool(name, subnet, family)).collect()
}

/// netpath first in a chain with Debian's plugins; the address is the one that the table has for
/// the pod, asked for as a runtime does for whoever uses the capability `ips`.
fn list(pod: &Pod, files: &Files) -> List {
    let Dual { v4, v6 } = pod.place.address;
    let pools = if pod.subnet == Subnet::A { ["a4", "a6"] } else { ["b4", "b6"] };
    let netpath = json!({
        "type": "netpath-cni", "socket": files.socket, "pools": pools,
        "runtimeConfig": {"ips": [v4, v6]},
    });
    let mut plugins = vec![netpath, ping_sockets()];
    if pod.place.name == PUBLISHED {
        let port = |protocol| json!({"hostPort": HOST_PORT, "containerPort": ECHO_PORT, "protocol": protocol});
        let ports = [port("tcp"), port("udp")];
        // portmap does nothing without the capability, but takes its configuration from here.
        plugins.push(json!({
            "type": "portmap", "snat": true, "runtimeConfig": {"portMappings": ports},
        }));
    }
    List { name: format!("underlay-{}", pod.place.name), plugins }
}

/// Where the published port does not answer, one line each.
fn unpublished(lab: &Lab) -> Result<Vec<String>> {
    let node = &lab.topology.nodes[NODE];
    let mut silent = Vec::new();
    for from in [&lab.topology.remote, &lab.topology.nodes[1 - NODE], node] {
        for to in Family::BOTH.map(|family| node.address.of(family)) {
            for proto in [Proto::Tcp, Proto::Udp] {
                if !answers(&from.namespace, to, proto)? {
                    let name = from.name;
                    silent.push(format!("{name} -> {to} port {HOST_PORT} {}", proto.name()));
                }
            }
        }
    }
    Ok(silent)
}

fn answers(from: &Namespace, to: IpAddr, proto: Proto) -> Result<bool> {
    probe_port(from, to, HOST_PORT, proto, Patience::EXPECTED)
}
