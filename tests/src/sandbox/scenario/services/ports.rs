//! Ports: by name, of nodes, and those that a Service does not have.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{NODE_PORT, PORT, SERVICE, Stage, asker, both, ways};
use crate::sandbox::{
    probe::{Patience, who},
    server::Server,
};

/// Another port of the echo service.
const OTHER: u16 = 8007;

/// Endpoints may have the port of a name wherever they like.
pub(super) fn named(stage: &Stage) -> Result<()> {
    let (one, other) = (stage.pod("q1")?, stage.pod("q2")?);
    let _server = Server::start_beside(&other.namespace, &both(other.address), OTHER)?;
    let ports = ["tcp", "udp"].map(
        |protocol| json!({"name": protocol, "protocol": protocol, "port": PORT, "target": "echo"}),
    );
    let endpoints = json!([
        stage.endpoint(&one.name, &[("ports", json!({"echo": 7}))])?,
        stage.endpoint(&other.name, &[("ports", json!({"echo": OTHER}))])?,
    ]);
    stage.apply(&endpoints, &[("ports", json!(ports))])?;
    for client in stage.clients()? {
        stage.expect(asker(client), SERVICE, PORT, &["q1", "q2"])?;
    }
    Ok(())
}

/// Every node answers at a node port, and stands for who asks where the pod is another node's.
pub(super) fn of_other_node(stage: &Stage) -> Result<()> {
    stage.apply(&stage.endpoints(&["p1"])?, &[])?;
    let node = stage.fabric.nodes[1].address;
    stage.expect(stage.remote(), node, NODE_PORT, &["p1"])?;
    for (family, proto) in ways() {
        let at = SocketAddr::new(node.of(family), NODE_PORT);
        let seen = who(&stage.fabric.remote.namespace, at, proto, Patience::EXPECTED)?;
        ensure!(seen == Some(node.of(family)), "{at} {}: seen as {seen:?}", proto.name());
    }
    for client in stage.clients()? {
        stage.expect(asker(client), node, NODE_PORT, &["p1"])?;
    }
    Ok(())
}

/// What is sent to a port that no Service has is dropped, and counted.
pub(super) fn nobody_has(stage: &Stage) -> Result<()> {
    stage.apply(&stage.endpoints(&["q1"])?, &[])?;
    for client in stage.clients()? {
        stage.expect_nobody(asker(client), (SERVICE, PORT + 1), Some((0, "no-service")))?;
    }
    Ok(())
}
