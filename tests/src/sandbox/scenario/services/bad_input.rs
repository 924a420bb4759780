//! Services that are wrong, beside one that is right: they are named, and it goes on.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{NODE_PORT, PORT, SERVICE, Stage, asker, both};
use crate::sandbox::address::Dual;

const EXTERNAL: Dual = Dual {
    v4: Ipv4Addr::new(203, 0, 113, 20),
    v6: Ipv6Addr::new(0xfd00, 0xb0, 0, 0, 0, 0, 0, 0x14),
};
/// A port of the node that a process has.
const BOUND: u16 = 30_777;
/// More than the tables of a sandbox have room for.
const TOO_MANY: u16 = 5_000;

pub(super) fn is_named(stage: &Stage) -> Result<()> {
    let endpoints = stage.endpoints(&["p1"])?;
    stage.apply(&endpoints, &[("external_ips", json!(both(EXTERNAL)))])?;
    let wrong = [
        (
            json!({ "cluster_ips": ["10.96.1.1"], "ports": [{ "port": PORT }],
                "endpoints": [{ "addresses": ["fd00:1::99"] }] }),
            ("endpoints[0].addresses[0]", "which no address of the Service is"),
        ),
        (
            json!({ "cluster_ips": ["10.96.1.2"], "ports": [{ "port": 0 }] }),
            ("ports[0].port", "0 is no port"),
        ),
        (
            json!({ "cluster_ips": ["10.96.1.3"], "ports": [{ "port": PORT }],
                "external_ips": [EXTERNAL.v4] }),
            ("external_ips[0]", "is taken by Service default/echo"),
        ),
        (
            json!({ "cluster_ips": ["10.96.1.4"],
                "ports": [{ "port": PORT, "node_port": NODE_PORT }] }),
            ("ports[0].node_port", "is taken by Service default/echo"),
        ),
    ];
    let list = (0..).zip(&wrong).map(|(number, (service, _)): (u8, _)| {
        let mut service = service.clone();
        service["name"] = format!("wrong/service-{number}").into();
        service
    });
    // What is right stands behind what is wrong.
    let right = json!({ "name": "right/bound", "cluster_ips": ["10.96.1.5"],
        "ports": [{ "port": PORT, "node_port": BOUND }], "endpoints": [] });
    let _bound = stage.fabric.nodes[0]
        .namespace
        .enter(|| Ok(TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, BOUND)))?))?;
    let rows = post(stage, &list.chain([right]).collect())?;
    for (row, (service, (field, problem))) in rows.iter().zip(&wrong) {
        let refused = row["result"] == "refused" && row["field"] == *field;
        let named = row["error"].as_str().is_some_and(|error| error.contains(problem));
        ensure!(refused && named, "{service}: {row}, expected {field}: {problem}");
    }
    ensure!(rows[wrong.len()]["result"] == "created", "{}", rows[wrong.len()]);
    warns(stage, &format!("node port {BOUND}/tcp of service right/bound"))?;

    let many: Value = (0..TOO_MANY).map(crowd).collect();
    let rows = post(stage, &many)?;
    let refused: Vec<_> = rows.iter().filter(|row| row["result"] == "refused").collect();
    let told = |row: &&Value| row["error"].as_str().is_some_and(|error| error.contains("capacity"));
    ensure!(!refused.is_empty() && refused.iter().all(told), "{:?}", refused.first());
    let created = rows.iter().filter(|row| row["result"] == "created").count();
    ensure!(created + refused.len() == rows.len(), "{created} created");
    warns(stage, "map endpoints holds")?;
    stage.expect(asker(stage.pod("q1")?), SERVICE, PORT, &["p1"])?;
    stage.expect(asker(stage.pod("q1")?), EXTERNAL, PORT, &["p1"])
}

fn crowd(number: u16) -> Value {
    let [high, low] = number.to_be_bytes();
    let address = Ipv4Addr::new(10, 96, 100 + high, low);
    json!({ "name": format!("crowd/{number}"), "cluster_ips": [address],
        "ports": [{ "port": PORT }], "endpoints": [] })
}

fn post(stage: &Stage, list: &Value) -> Result<Vec<Value>> {
    let answer = stage.fabric.agents[0].post("/v1/services", &list.to_string())?;
    serde_json::from_str(&answer).with_context(|| answer.clone())
}

fn warns(stage: &Stage, what: &str) -> Result<()> {
    let status = stage.fabric.agents[0].netpath_json(&["status"])?;
    let warnings = status["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = warnings.iter().any(|text| text.as_str().is_some_and(|text| text.contains(what)));
    ensure!(told, "no warning of {what:?}: {warnings:?}");
    Ok(())
}
