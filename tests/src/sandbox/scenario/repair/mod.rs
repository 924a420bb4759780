//! What somebody breaks while the agent runs comes back, in the node, in the pods and on the wire.

mod everything;
mod loopback;
mod loss;
mod moved;
mod parent;

use super::{Bench, Outcome, Scenario};
use crate::sandbox::kernel;

/// By generation of TC hooks, and the parent.
pub(super) fn scenarios() -> Vec<Scenario> {
    let hooks = ["tcx", "netlink"].map(|attach| {
        Scenario::own(format!("repair::everything::attach_{attach}"), move |bench| {
            if let Some(why) = kernel::without_hooks(attach)? {
                return Ok(Outcome::Ignored(why));
            }
            everything::everything(bench, attach)
        })
    });
    let loopback = ["tcx", "netlink"].map(|attach| {
        Scenario::own(format!("repair::loopback::attach_{attach}"), move |bench| {
            if let Some(why) = kernel::without_hooks(attach)? {
                return Ok(Outcome::Ignored(why));
            }
            loopback::loopback(bench, attach)
        })
    });
    let mut scenarios: Vec<_> = hooks.into_iter().chain(loopback).collect();
    scenarios.push(Scenario::own("repair::parent_down", parent::down));
    scenarios.push(Scenario::own("repair::parent_moved", moved::moved));
    scenarios
}
