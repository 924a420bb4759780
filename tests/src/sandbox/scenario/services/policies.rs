//! Who is asked by whom: everybody, or the pods of the node where the question is.

use anyhow::Result;

use super::{NODE_PORT, PORT, SERVICE, Stage, asker};
use crate::sandbox::fabric::Translate;

/// From inside, at the Service's own address.
pub(super) fn internal(stage: &Stage) -> Result<()> {
    let local = [("internal_policy", "local".into())];
    for client in stage.clients()? {
        stage.apply(&stage.endpoints(&["q1", "q2"])?, &[])?;
        stage.expect(asker(client), SERVICE, PORT, &["q1", "q2"])?;
        stage.apply(&stage.endpoints(&["q1", "q2"])?, &local)?;
        stage.expect(asker(client), SERVICE, PORT, &["q1"])?;
        stage.apply(&stage.endpoints(&["q2"])?, &local)?;
        stage.expect_nobody(asker(client), (SERVICE, PORT), nobody(stage))?;
    }
    Ok(())
}

/// From the wire, at ports of a node. What asks from inside reaches everybody.
pub(super) fn external(stage: &Stage) -> Result<()> {
    let node = stage.fabric.nodes[0].address;
    let local = [("external_policy", "local".into())];
    stage.apply(&stage.endpoints(&["p1", "p2"])?, &[])?;
    stage.expect(stage.remote(), node, NODE_PORT, &["p1", "p2"])?;
    stage.apply(&stage.endpoints(&["p1", "p2"])?, &local)?;
    stage.expect(stage.remote(), node, NODE_PORT, &["p1"])?;
    stage.apply(&stage.endpoints(&["p2"])?, &local)?;
    stage.expect_nobody(stage.remote(), (node, NODE_PORT), Some((0, "no-backend")))?;
    stage.expect(asker(stage.pod("q1")?), SERVICE, PORT, &["p2"])?;
    stage.expect(asker(stage.pod("q1")?), node, NODE_PORT, &["p2"])
}

/// Why packets of the first node's pods are dropped, where sockets are not told at once.
pub(super) fn nobody(stage: &Stage) -> Option<(usize, &'static str)> {
    (stage.translate == Translate::Packet).then_some((0, "no-backend"))
}
