//! Services come, change and go as the cluster says.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    known,
    objects::{self, Member, NAME, NAMESPACE, publish, service},
    until_shown,
};
use crate::sandbox::{
    scenario::services::{NODE_PORT, PORT, SERVICE, Stage, asker},
    server::ECHO_PORT,
};

pub(super) fn follows(stage: &mut Stage) -> Result<()> {
    let stage = &*stage;
    comes(stage)?;
    conditions(stage)?;
    policies(stage)?;
    zones(stage)?;
    goes(stage)
}

fn member<'a>(stage: &'a Stage, name: &str) -> Result<Member<'a>> {
    stage.pod(name).map(Member::ready)
}

fn comes(stage: &Stage) -> Result<()> {
    objects::api(&stage.fabric)?.put(service(&[]))?;
    publish(&stage.fabric, &[member(stage, "q1")?, member(stage, "q2")?])?;
    // One a family and pod.
    known(stage, Some(4))?;
    for client in stage.clients()? {
        stage.expect(asker(client), SERVICE, PORT, &["q1", "q2"])?;
    }
    stage.expect(stage.remote(), stage.fabric.nodes[0].address, NODE_PORT, &["q1", "q2"])
}

fn conditions(stage: &Stage) -> Result<()> {
    let [client, _] = stage.clients()?;
    let leaves = json!({"ready": false, "serving": true, "terminating": true});
    let out = json!({"ready": false, "serving": false});
    let q1 =
        || Ok::<_, anyhow::Error>(Member { conditions: leaves.clone(), ..member(stage, "q1")? });
    publish(&stage.fabric, &[q1()?, member(stage, "q2")?, member(stage, "p2")?])?;
    known(stage, Some(6))?;
    stage.expect(asker(client), SERVICE, PORT, &["q2", "p2"])?;
    // Who terminates is better than nobody.
    publish(&stage.fabric, &[q1()?, Member { conditions: out, ..member(stage, "q2")? }])?;
    known(stage, Some(4))?;
    stage.expect(asker(client), SERVICE, PORT, &["q1"])
}

fn policies(stage: &Stage) -> Result<()> {
    let [client, _] = stage.clients()?;
    let api = objects::api(&stage.fabric)?;
    publish(&stage.fabric, &[member(stage, "q1")?, member(stage, "q2")?, member(stage, "p2")?])?;
    known(stage, Some(6))?;
    for (word, expected) in [("Local", &["q1"][..]), ("Cluster", &["q1", "q2", "p2"])] {
        api.put(service(&[("internalTrafficPolicy", json!(word))]))?;
        until_shown(stage, |shown| shown["internal_policy"] == word.to_lowercase())?;
        stage.expect(asker(client), SERVICE, PORT, expected)?;
    }
    Ok(())
}

/// Hints count in the zone that the node's label says.
fn zones(stage: &Stage) -> Result<()> {
    let [client, _] = stage.clients()?;
    let hinted = |name: &str, zone: &str| {
        let hints = json!({"forZones": [{"name": zone}]});
        Ok::<_, anyhow::Error>(Member { hints, ..member(stage, name)? })
    };
    publish(&stage.fabric, &[hinted("q1", "a")?, hinted("q2", "b")?])?;
    known(stage, Some(4))?;
    for (zone, expected) in [("a", "q1"), ("b", "q2")] {
        objects::api(&stage.fabric)?.put(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node1", "labels": {"topology.kubernetes.io/zone": zone}},
        }))?;
        let backend = SocketAddr::new(stage.pod(expected)?.address.v4.into(), ECHO_PORT);
        until_shown(stage, |shown| leads_to(shown) == [json!(backend)])?;
        stage.expect(asker(client), SERVICE, PORT, &[expected])?;
    }
    Ok(())
}

/// Who answers at the Service's IPv4 address.
fn leads_to(shown: &Value) -> &[Value] {
    let frontends = shown["frontends"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = frontends.iter().find(|frontend| frontend["address"] == json!(SERVICE.v4));
    own.and_then(|own| own["inside"].as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// What another proxy answers for is not ours, and what is gone is gone.
fn goes(stage: &Stage) -> Result<()> {
    let api = objects::api(&stage.fabric)?;
    let mut others = service(&[]);
    others["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "other"});
    api.put(others)?;
    known(stage, None)?;
    api.put(service(&[]))?;
    known(stage, Some(4))?;
    ensure!(api.delete("services", NAMESPACE, NAME)?, "the Service was not there");
    known(stage, None)
}
