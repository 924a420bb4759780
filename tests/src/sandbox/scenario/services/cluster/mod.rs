//! Services of a Kubernetes cluster, whose API server is asked over the network.

mod churn;
mod follows;
mod objects;
mod scale;
mod silent;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Bench, Outcome, Scenario, Stage};
use crate::sandbox::{
    fabric::{Fabric, Plan, Translate},
    wait,
};

/// How long agents may take to follow, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// By a form of translation: all but what takes long.
pub(super) fn scenarios(translate: Translate) -> [Scenario; 2] {
    let word = translate.name();
    let name = |name| format!("native::services::{word}::cluster::{name}");
    [
        Scenario::own(name("follows"), move |bench| run(bench, translate, follows::follows)),
        Scenario::own(name("silent"), move |bench| run(bench, translate, silent::goes_on)),
    ]
}

/// One node of the usual size, whose Services are translated in all ways.
fn alone() -> Plan {
    let services = Some(Translate::Auto);
    Plan { services, cluster: true, nodes: 1, large: true, ..Plan::default() }
}

/// What measures time.
pub(super) fn measured() -> [Scenario; 2] {
    let name = |name| format!("native::measured::cluster::{name}");
    [
        Scenario::own(name("scale"), scale::ten_thousand),
        Scenario::own(name("churn_without_api"), churn::without_api),
    ]
}

fn run(
    bench: &Bench,
    translate: Translate,
    check: fn(&mut Stage) -> Result<()>,
) -> Result<Outcome> {
    let plan = Plan { services: Some(translate), cluster: true, ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    let servers = fabric.start_servers()?;
    check(&mut Stage { fabric, translate, _servers: servers })?;
    Ok(Outcome::Passed)
}

/// Waits until the agents know the Service with so many endpoints; none: until they do not know it.
fn known(stage: &Stage, endpoints: Option<usize>) -> Result<()> {
    for agent in &stage.fabric.agents {
        wait::until("the agent follows the cluster", PATIENCE, || {
            let list = agent.netpath_json(&["service", "list"])?;
            let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
            let found = all.iter().find(|service| service["name"] == "default/echo");
            let count = |found: &Value| found["endpoints"].as_array().map(Vec::len);
            Ok((found.and_then(count) == endpoints).then_some(()))
        })?;
    }
    Ok(())
}

/// Waits until the first agent shows the Service as it should be.
fn until_shown(stage: &Stage, is_right: impl Fn(&Value) -> bool) -> Result<()> {
    wait::until("the agent shows the Service", PATIENCE, || {
        let show = ["service", "show", "default/echo"];
        let shown = stage.fabric.agents[0].netpath_json(&show)?;
        Ok(is_right(&shown).then_some(()))
    })
}

/// Waits until the first agent warns of something.
fn until_warned(stage: &Stage, of: &str) -> Result<()> {
    wait::until("the agent warns", PATIENCE, || {
        let status = stage.fabric.agents[0].netpath_json(&["status"])?;
        let warnings = status["warnings"].as_array().context("status has no warnings")?;
        let of = |warning: &Value| warning.as_str().is_some_and(|text| text.contains(of));
        Ok(warnings.iter().any(of).then_some(()))
    })
}
