//! podman's containers, by its CNI backend.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    super::Bench, NODE, Outcome, PLUGINS, Scenario, netpath::containers, nothing_allocated, table,
};
use crate::sandbox::{
    command, kernel,
    runtime::{network, podman::Podman},
    topology::Topology,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::own("runtime::podman::reference", reference),
        Scenario::own("runtime::podman::netpath", netpath),
    ]
}

/// Debian's own plugins do what plain ipvlan can: otherwise the others would prove nothing.
fn reference(_: &Bench) -> Result<Outcome> {
    if !command::exists("podman") {
        return Ok(Outcome::Ignored("there is no podman here".into()));
    }
    if let Some(why) = kernel::left_out()? {
        return Ok(Outcome::Ignored(why));
    }
    let topology = Topology::build(1500)?;
    topology.add_plain(|pod| pod.node != NODE)?;
    let folder = tempfile::Builder::new()
        .prefix("netpath-sandbox-")
        .tempdir()
        .context("make a folder for podman")?;
    let state = folder.path().join("host-local");
    let node = &topology.nodes[NODE].namespace;
    let mut podman = Podman::start(node, &folder.path().join("podman"), &[Path::new(PLUGINS)])?;
    let list = |pod: &_| network::reference(pod, &state);
    let outcome = table(&topology, &mut podman, list, |pair| pair.plain)?;
    nothing_allocated(&state)?;
    Ok(outcome)
}

/// netpath's plugin in the same runtime does everything.
fn netpath(bench: &Bench) -> Result<Outcome> {
    if !command::exists("podman") {
        return Ok(Outcome::Ignored("there is no podman here".into()));
    }
    containers(bench, |node, folder| {
        Ok(Box::new(Podman::start(node, folder, &[Path::new(PLUGINS)])?))
    })
}
