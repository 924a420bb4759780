//! The API server is gone: what is known of the cluster holds, and what changed meanwhile is caught up
//! with.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{
    known,
    objects::{self, Member, publish, service},
    until_warned,
};
use crate::sandbox::scenario::services::{PORT, SERVICE, Stage, asker};

/// What the agent warns of.
pub(super) const WARNING: &str = "API server does not answer";

pub(super) fn goes_on(stage: &mut Stage) -> Result<()> {
    objects::api(&stage.fabric)?.put(service(&[]))?;
    publish(&stage.fabric, &[Member::ready(stage.pod("q1")?), Member::ready(stage.pod("q2")?)])?;
    known(stage, Some(4))?;
    objects::api(&stage.fabric)?.go_down()?;
    until_warned(stage, WARNING)?;
    answers(stage, &["q1", "q2"])?;

    // An agent that starts now has what its predecessor knew.
    stage.fabric.agents.remove(0).end(Signal::SIGKILL)?;
    stage.fabric.start_agent(0)?;
    known(stage, Some(4))?;
    until_warned(stage, WARNING)?;
    answers(stage, &["q1", "q2"])?;

    // Pods come and go.
    let pod = stage.pod("p1")?;
    stage.fabric.agents[0].netpath(&["endpoint", "del", &pod.name])?;
    stage.fabric.add(pod)?;
    answers(stage, &["q1", "q2"])?;

    // What changed meanwhile is not to be had as changes any more.
    publish(&stage.fabric, &[Member::ready(stage.pod("q2")?)])?;
    let api = objects::api(&stage.fabric)?;
    api.compact();
    api.come_up()?;
    known(stage, Some(2))?;
    answers(stage, &["q2"])
}

fn answers(stage: &Stage, pods: &[&str]) -> Result<()> {
    stage.clients()?.into_iter().try_for_each(|it| stage.expect(asker(it), SERVICE, PORT, pods))
}
