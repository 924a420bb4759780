//! The node: the one owner of the desired state, the programs and the maps.
//!
//! What takes time (the disk, a pod's namespace, the wire) is done without holding the node, in
//! three phases: plan under the lock, work without it, commit or undo under it. So nobody waits for
//! somebody else's pod; only work on the same endpoint is done in turns.
//!
//! | file | part |
//! | --- | --- |
//! | `add`, `remove`, `turns` | the life of an endpoint |
//! | `pods`, `endpoints` | what runtimes and operators ask for |
//! | `addresses`, `pools`, `fixed` | those of the agent's pools, and which the cluster has |
//! | `cluster`, `asked`, `events` | the way to the cluster, what it says of a pod and is told |
//! | `neighbours` | what the wire is asked and told |
//! | `report` | what the cluster is told |
//! | `explain`, `drift` | what the decision would do, and the host stack |
//! | `flows`, `connections` | what takes the kernel path, and what is translated |
//! | `services` | Services: what is asked for, and the tables that follow |
//! | `check` | is a pod what it should be |
//! | `reconcile`, `repair`, `watch` | making the kernel what it should be: here, inside pods, when |
//! | `state`, `tables`, `journal` | what should be, in memory, in the kernel, on the disk |
//! | `start`, `run`, `answer`, `cleanup` | the agent's life |
//! | `policy`, `mirror`, `masquerade` | rules and routes of the host stack, and the addresses it gives |
//! | `devices`, `loopback` | the node's ends of endpoints' veth pairs, and its loopback device |
//! | `sockets` | the hooks of the cgroup whose sockets are translated |
//! | `entry`, `parents`, `bpffs`, `sysctls` | what the node needs around it |

mod add;
mod addresses;
mod answer;
mod asked;
mod bpffs;
mod check;
mod cleanup;
mod cluster;
mod connections;
mod convert;
mod counters;
mod devices;
mod drift;
mod endpoints;
mod entry;
mod error;
mod events;
mod explain;
mod fixed;
mod flows;
mod journal;
mod loopback;
mod masquerade;
mod mirror;
mod neighbours;
mod parents;
mod pods;
pub mod policy;
mod pools;
mod reconcile;
mod remove;
mod repair;
mod report;
mod routes;
mod run;
mod services;
mod sockets;
mod start;
mod state;
mod status;
mod sysctls;
pub mod tables;
mod turns;
mod watch;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::sync::Mutex;

pub use self::{
    cleanup::{Cleanup, cleanup},
    error::{Error, Kind},
    run::run,
    state::{Parent, RouteEntry, ServiceAddresses, State},
};
use self::{
    cluster::Cluster, connections::Gone, entry::Entry, error::ParentProblem, fixed::Fixed,
    flows::Tracker, journal::Journal, masquerade::Masquerade, pools::Pools, services::Services,
    turns::Turns, watch::Watch,
};
use crate::{
    announce::{Announcer, Probes},
    config::Config,
    datapath::Datapath,
    ipam::Ipam,
    kube::pods::Said,
    name::EndpointName,
    netlink::Netlink,
};

/// A node with its dataplane attached.
#[derive(Debug)]
pub struct Node {
    config: Config,
    journal: Journal,
    netlink: Netlink,
    datapath: Datapath,
    tracker: Tracker,
    gone: Arc<Gone>,
    masquerade: Masquerade,
    entry: Entry,
    state: State,
    turns: Turns<EndpointName>,
    watch: Watch,
    probes: Arc<Probes>,
    announcer: Announcer,
    ipam: Ipam,
    pools: Pools,
    fixed: Fixed,
    services: Services,
    /// The way to the cluster that the node is in.
    cluster: Option<Arc<Cluster>>,
    /// What the cluster said of pods that are here, by UID.
    said: BTreeMap<String, Said>,
    /// What had to be put right, by kind.
    repairs: BTreeMap<String, u64>,
    started: Instant,
}

/// The node, as everybody who works on it holds it.
type Shared = Arc<Mutex<Node>>;
