//! Which endpoints answer: those that are ready, and those that are about to go if nobody is.

use anyhow::Result;
use serde_json::{Value, json};

use super::{PORT, SERVICE, Stage, asker, policies::nobody};

/// An endpoint that is about to go.
fn going(serving: bool) -> [(&'static str, Value); 3] {
    [("ready", false.into()), ("serving", serving.into()), ("terminating", true.into())]
}

pub(super) fn terminating(stage: &Stage) -> Result<()> {
    let leaving = stage.endpoint("q1", &going(true))?;
    let ready = stage.endpoint("q2", &[])?;
    let gone = stage.endpoint("q1", &going(false))?;
    for client in stage.clients()? {
        stage.apply(&json!([leaving, ready]), &[])?;
        stage.expect(asker(client), SERVICE, PORT, &["q2"])?;
        stage.apply(&json!([leaving]), &[])?;
        stage.expect(asker(client), SERVICE, PORT, &["q1"])?;
        stage.apply(&json!([gone]), &[])?;
        stage.expect_nobody(asker(client), (SERVICE, PORT), nobody(stage))?;
    }
    Ok(())
}

pub(super) fn not_ready(stage: &Stage) -> Result<()> {
    let starting = stage.endpoint("q1", &[("ready", false.into()), ("serving", false.into())])?;
    for client in stage.clients()? {
        stage.apply(&json!([starting]), &[])?;
        stage.expect_nobody(asker(client), (SERVICE, PORT), nobody(stage))?;
        stage.apply(&json!([starting]), &[("publish_not_ready", true.into())])?;
        stage.expect(asker(client), SERVICE, PORT, &["q1"])?;
    }
    Ok(())
}
