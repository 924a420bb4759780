//! Debian's own plugins do what plain ipvlan can: otherwise netpath's containers would prove nothing.

use anyhow::{Context as _, Result};

use super::{NODE, Outcome, Start, nothing_allocated, table};
use crate::sandbox::{kernel, runtime::network, topology::Topology};

pub(super) fn containers(start: Start) -> Result<Outcome> {
    if let Some(why) = kernel::left_out()? {
        return Ok(Outcome::Ignored(why));
    }
    let topology = Topology::build(1500)?;
    topology.add_plain(|pod| pod.node != NODE)?;
    let folder = tempfile::Builder::new()
        .prefix("netpath-sandbox-")
        .tempdir()
        .context("make a folder for the runtime")?;
    let state = folder.path().join("host-local");
    let node = &topology.nodes[NODE].namespace;
    let mut runtime = start(node, &folder.path().join("runtime"))?;
    let list = |pod: &_| network::reference(pod, &state);
    let outcome = table(&topology, &mut *runtime, list, |pair| pair.plain)?;
    nothing_allocated(&state)?;
    Ok(outcome)
}
