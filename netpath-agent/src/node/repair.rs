//! Putting right what netpath made inside a pod.

use super::{Error, Node, Shared, add::is_alive};
use crate::{endpoint::Stage, name::EndpointName};

/// Compares an endpoint's interface with what it should be, and puts right what differs. One that
/// is on its way in or out, or whose parent or namespace is gone, is left alone. Tells whether
/// anything differed. To be called by whoever has the endpoint's turn.
pub(super) async fn repair(node: &Shared, name: &EndpointName) -> Result<bool, Error> {
    let wiring = {
        let node = node.lock().await;
        let there = |record: &&_| is_alive(record);
        match node.state.endpoint(name).filter(there) {
            Some(record) if record.stage == Stage::Ready => node.wiring(record).ok(),
            _ => None,
        }
    };
    let Some(wiring) = wiring else { return Ok(false) };
    let repaired = wiring.repair().await.map_err(Error::wire(name))?;
    if repaired.is_empty() {
        return Ok(false);
    }
    let mut node = node.lock().await;
    for mismatch in repaired {
        tracing::warn!(endpoint = %name, %mismatch, "repaired");
        // The kind is its first word: link, address, route, ...
        let kind = mismatch.what.split(' ').next().unwrap_or_default();
        node.count_repairs(&format!("pod {kind}"), 1);
    }
    Ok(true)
}

impl Node {
    /// Counts what was put right.
    pub(super) fn count_repairs(&mut self, kind: &str, count: u64) {
        if count > 0 {
            *self.repairs.entry(kind.to_owned()).or_default() += count;
        }
    }
}
