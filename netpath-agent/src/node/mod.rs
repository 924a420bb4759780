//! The node: the one owner of the desired state, the programs and the maps.
//!
//! Requests, the kernel's events and the timer are taken one at a time, so that no two changes
//! ever overlap; what they change in the kernel is serialised there anyway (rtnl).

mod bpffs;
mod cleanup;
mod convert;
mod counters;
mod endpoints;
mod entry;
mod error;
mod explain;
mod parents;
mod reconcile;
mod routes;
mod run;
mod start;
mod state;
mod status;
pub mod tables;

use std::time::Instant;

use self::entry::Entry;
pub use self::{
    cleanup::{Cleanup, cleanup},
    error::{Error, Kind},
    run::run,
    state::{Parent, RouteEntry, State},
};
use crate::{
    config::Config,
    datapath::Datapath,
    netlink::Netlink,
    store::{Lock, Store},
};

/// A node with its dataplane attached.
#[derive(Debug)]
pub struct Node {
    config: Config,
    store: Store,
    netlink: Netlink,
    datapath: Datapath,
    entry: Entry,
    state: State,
    /// Entries and hooks that had to be put right.
    repairs: u64,
    started: Instant,
    // Last, so that it is given back last.
    _lock: Lock,
}
