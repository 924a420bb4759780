//! Pods that come and go, as container runtimes make them: by the CNI plugin, from many callers at
//! once, whatever becomes of the agent; and the audit of what is left in the end.
//!
//! | file | part |
//! | --- | --- |
//! | `caller` | a runtime's worker: sandboxes, ADD, DEL, until each has succeeded |
//! | `ledger` | which pod was told that it has which address |
//! | `observer` | which pod has which address, as the kernel says |
//! | `outage` | the same on a machine that loses its power |
//! | `audit` | links, addresses, allocations, map entries, files and store against each other |

mod audit;
mod caller;
mod ledger;
mod observer;
pub mod outage;

pub use self::{
    audit::{agree, cooled},
    caller::{Attached, Caller, Count, NETWORK},
    ledger::Ledger,
    observer::watch,
};
use crate::sandbox::address::{Family, Subnet};

/// The configuration of pools for churning pods: small, and quick to hand an address out again, so
/// that a mistake has the chance to show.
#[must_use]
pub fn pools(cooldown_seconds: u32) -> String {
    let subnet = Subnet::A;
    let [v4, v6] = Family::BOTH.map(|family| subnet.prefix(family));
    let gateway = subnet.gateway();
    // The wire is asked, but not for long.
    format!(
        "[announce]\ntimeout_ms = 100\n\
         [ipam]\ncooldown_seconds = {cooldown_seconds}\n\
         [[pool]]\nname = 'v4'\nsubnet = '{v4}'\nranges = ['10.0.1.128/25']\ngateway = '{}'\n\
         [[pool]]\nname = 'v6'\nsubnet = '{v6}'\nranges = ['fd00:1::8000/121']\ngateway = '{}'\n",
        gateway.v4, gateway.v6,
    )
}
