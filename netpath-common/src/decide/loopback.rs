//! TC ingress of the loopback device: what endpoints in an L3 mode send to the node's own addresses. The
//! host stack routes what they send, and these never reach a parent.

use super::translate;
use crate::{Kind, Packet, Tables, Verdict};

/// Decides on what the host stack has for itself, and names the endpoint's parent. `None` if it is no
/// affair of ours.
#[inline(always)]
pub fn loopback<T: Tables>(tables: &T, packet: &Packet) -> Option<(Verdict, u32)> {
    let sender = tables.endpoint(&packet.source)?;
    let translated = sender.is_sent_by_host()
        && packet.kind == Kind::Ip
        && translate::ends_here(tables, packet, tables.gates(sender.slot));
    translated.then(|| (Verdict::translate().from(sender.slot), sender.parent))
}
