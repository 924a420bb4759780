//! containerd's containers, by `ctr run --cni`.

use anyhow::{Context as _, Result};

use super::{super::Bench, NODE, Outcome, Scenario, netpath::containers, nothing_allocated, table};
use crate::sandbox::{
    command, kernel,
    runtime::{containerd::Containerd, network},
    topology::Topology,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::own("runtime::containerd::reference", reference),
        Scenario::own("runtime::containerd::netpath", netpath),
    ]
}

/// Debian's own plugins do what plain ipvlan can: otherwise the others would prove nothing.
fn reference(_: &Bench) -> Result<Outcome> {
    if !command::exists("containerd") {
        return Ok(Outcome::Ignored("there is no containerd here".into()));
    }
    if let Some(why) = kernel::left_out()? {
        return Ok(Outcome::Ignored(why));
    }
    let topology = Topology::build(1500)?;
    topology.add_plain(|pod| pod.node != NODE)?;
    let folder = tempfile::Builder::new()
        .prefix("netpath-sandbox-")
        .tempdir()
        .context("make a folder for containerd")?;
    let state = folder.path().join("host-local");
    let node = &topology.nodes[NODE].namespace;
    let mut containerd = Containerd::start(node, &folder.path().join("containerd"))?;
    let list = |pod: &_| network::reference(pod, &state);
    let outcome = table(&topology, &mut containerd, list, |pair| pair.plain)?;
    nothing_allocated(&state)?;
    Ok(outcome)
}

/// netpath's plugin in the same runtime does everything.
fn netpath(bench: &Bench) -> Result<Outcome> {
    if !command::exists("containerd") {
        return Ok(Outcome::Ignored("there is no containerd here".into()));
    }
    containers(bench, |node, folder| Ok(Box::new(Containerd::start(node, folder)?)))
}
