//! Node-local DNS: a Service that leads to a process of the node while that lives, asked from pods of every
//! attachment.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::sandbox::{
    address::{Family, SERVICE},
    answerer::Answerer,
    fabric::{Fabric, Plan, Translate},
    namespace::Namespace,
    scenario::{Bench, Outcome},
    wait,
};

/// What the node's process and the cluster's backends answer with.
const LOCAL: u8 = 1;
const CLUSTER: u8 = 2;
const PORT: u16 = 53;
const RULE: &str = "[[local_service]]\nservice = \"kube-system/kube-dns\"\n\
                    addresses = [\"169.254.20.10:53\", \"[fd00:20::10]:53\"]\n";
const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 96, 0, 53)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x53)),
];
/// How long a question waits until it is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long nobody may answer when the process has died.
const GAP: Duration = Duration::from_secs(1);
/// By when its return is noticed.
const RETURN: Duration = Duration::from_secs(10);

pub(super) fn dies_and_returns(bench: &Bench, translate: Translate) -> Result<Outcome> {
    for family in Family::BOTH {
        let own = SocketAddr::new(SERVICE.of(family), PORT).to_string();
        ensure!(RULE.contains(&own), "the node serves at {own}");
    }
    let plan = Plan { services: Some(translate), more: RULE, all: true, ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    let node = &fabric.nodes[0].namespace;
    let away: Vec<_> = fabric.pods.iter().filter(|pod| pod.node == 1).collect();
    let cluster = away.iter().map(|pod| Answerer::start(&pod.namespace, PORT, CLUSTER));
    let _cluster = cluster.collect::<Result<Vec<_>>>()?;
    // A process that serves several addresses answers from the one that was asked.
    let start = || -> Result<Vec<_>> {
        let own = Family::BOTH.map(|family| SocketAddr::new(SERVICE.of(family), PORT));
        own.iter().map(|own| Answerer::start_at(node, *own, LOCAL)).collect()
    };
    let local = start()?;
    let endpoints: Vec<_> = away
        .iter()
        .map(|pod| {
            let addresses = Family::BOTH.map(|family| pod.address.of(family));
            json!({ "addresses": addresses, "node": "node2" })
        })
        .collect();
    let port = |protocol: &str| json!({ "name": protocol, "protocol": protocol, "port": PORT });
    let service = json!([{
        "name": "kube-system/kube-dns",
        "cluster_ips": ADDRESSES,
        "ports": [port("udp"), port("tcp")],
        "endpoints": endpoints,
    }]);
    fabric.apply_at(0, &service)?;
    let askers: Vec<(&str, &Namespace)> = fabric
        .pods
        .iter()
        .filter(|pod| pod.node == 0)
        .map(|pod| (&*pod.name, &pod.namespace))
        // By packets the node can not ask itself: its stack takes none from the wire with its own address.
        .chain((translate == Translate::Auto).then_some((fabric.nodes[0].name, node)))
        .collect();
    let everybody = |expected: u8, within: Duration| -> Result<Duration> {
        let mut longest = Duration::ZERO;
        for (name, namespace) in &askers {
            for address in ADDRESSES {
                let took = until(namespace, address, expected, within)
                    .with_context(|| format!("{name} asks {address}"))?;
                longest = longest.max(took);
            }
        }
        Ok(longest)
    };
    everybody(LOCAL, RETURN).context("the node's process lives")?;
    drop(local);
    // The first one meets the gap; for the others it is over.
    let gap = everybody(CLUSTER, GAP).context("the node's process has died")?;
    let _local = start()?;
    everybody(LOCAL, RETURN).context("the node's process is back")?;
    eprintln!("dns: {} askers by both families, nobody answered for {gap:?}", askers.len());
    Ok(Outcome::Passed)
}

/// Asks until this backend answers, and tells how long that took.
fn until(
    namespace: &Namespace,
    address: IpAddr,
    expected: u8,
    within: Duration,
) -> Result<Duration> {
    let start = Instant::now();
    namespace.enter(|| {
        wait::until(&format!("an answer of backend {expected}"), within, || {
            Ok((ask(address)? == Some(expected)).then_some(()))
        })
    })?;
    Ok(start.elapsed())
}

/// A question of a socket of its own, that is not connected: the answer comes from whom it asked.
fn ask(address: IpAddr) -> Result<Option<u8>> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(AGAIN))?;
    let server = SocketAddr::new(address, PORT);
    // Refused while nobody answers.
    let Ok(_) = socket.send_to(b"?", server) else { return Ok(None) };
    let mut id = [0];
    match socket.recv_from(&mut id) {
        Ok((1, from)) => {
            ensure!(from == server, "{server} was asked, and {from} answered");
            Ok(Some(id[0]))
        }
        _ => Ok(None),
    }
}
