//! The programs and the maps in the kernel: the only module that knows aya.
//!
//! | file | part |
//! | --- | --- |
//! | `load` | the object, its maps pinned or adopted |
//! | `kernel_types` | where the kernel keeps what the programs read of it |
//! | `endpoints`, `namespaces`, `routes`, `flows`, `connections`, `sockets`, `counters` | what is in the maps |
//! | `services` | the tables of Services |
//! | `translated` | what is remembered of packets to them |
//! | `exact` | the table behind `endpoints` |
//! | `memory`, `grace` | writing without calls, and when that is allowed |
//! | `batch` | whole maps at once |
//! | `attach`, `device`, `loopback` | the hooks of a parent, of an endpoint's own device, and of the node's |
//! | `tc`, `xdp` | one kind of hook each |
//! | `cgroup`, `link` | the hooks of sockets, and their links |
//! | `query` | what a hook runs now |
//! | `pins` | where everything is pinned |
//! | `predecessor` | taking over from another version |
//! | `explain` | the decision over the live maps |
//! | `cleanup` | leaving nothing behind |

mod attach;
mod batch;
mod cgroup;
mod cleanup;
mod connections;
mod counters;
mod device;
mod endpoints;
mod error;
mod exact;
mod explain;
mod flows;
mod grace;
mod kernel_types;
mod link;
mod load;
mod loopback;
mod memory;
mod namespaces;
mod pins;
mod predecessor;
mod query;
mod routes;
mod services;
mod sockets;
mod tc;
mod translated;
mod xdp;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, IterableMap as _, LpmTrie, MapData, MapError, PerCpuArray},
};
use netpath_common::{
    Affinity, AffinityKey, Connection, Counter, EndpointCount, EndpointEntry, Flow, FlowKey, Hook,
    Node, Parent, Route, SocketKey, SocketPeer, route::RouteData,
};

pub use self::{
    attach::{Filter, HookStatus, Lost, ParentSpec, ParentStatus, XdpStatus},
    cgroup::{SocketHook, Sockets, SocketsStatus},
    cleanup::Removed,
    connections::Connections,
    counters::Fill,
    error::{AttachError, Error},
    explain::{Explanation, Query, Step, Translation},
    kernel_types::Error as NamespaceError,
    loopback::LOOPBACK,
};
use self::{exact::Exact, pins::Pins, services::Book};
use crate::config::{Attach, Capacity};

/// How long ago a change of a directory must be for the next one to have another time: far longer
/// than the kernel's tick, at most 10 ms.
const SETTLED: Duration = Duration::from_secs(1);

/// How to open the dataplane.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory in a bpf file system that holds a directory per ABI version.
    pub pins: PathBuf,
    /// How many entries the maps hold.
    pub capacity: Capacity,
    /// The generation of TC hooks to use.
    pub attach: Attach,
    /// Whether packets are translated for Services.
    pub packets: bool,
    /// Whose sockets are translated.
    pub sockets: Sockets,
}

/// The loaded programs, the maps they share with user space, and the hooks they are attached to.
///
/// Maps and hooks outlive it: they are pinned, or held by the kernel.
pub struct Datapath {
    ebpf: Ebpf,
    pins: Pins,
    attach: Attach,
    packets: bool,
    capacity: Capacity,
    endpoints: Exact,
    endpoint_entries: Array<MapData, EndpointEntry>,
    endpoint_heads: Array<MapData, u32>,
    namespaces: HashMap<MapData, u32, u32>,
    routes: LpmTrie<MapData, RouteData, Route>,
    parents: HashMap<MapData, u32, Parent>,
    node: Array<MapData, Node>,
    flows: HashMap<MapData, FlowKey, Flow>,
    endpoint_flows: Array<MapData, u32>,
    counters: PerCpuArray<MapData, Counter>,
    endpoint_counters: PerCpuArray<MapData, EndpointCount>,
    node_flows: Array<MapData, u32>,
    fragments: HashMap<MapData, FlowKey, [u16; 2]>,
    services: Book,
    service_sources: LpmTrie<MapData, RouteData, u32>,
    affinities: HashMap<MapData, AffinityKey, Affinity>,
    connections: HashMap<MapData, FlowKey, Connection>,
    translated_sockets: HashMap<MapData, SocketKey, SocketPeer>,
    attached: BTreeMap<u32, ParentStatus>,
    /// The hooks of endpoints' own devices, by interface index.
    devices: BTreeMap<u32, Vec<HookStatus>>,
    sockets: Sockets,
    socket_status: SocketsStatus,
    /// When the directory of the pins was last changed, if all of them have been seen since.
    pins_seen: Option<SystemTime>,
    sight: Result<(), NamespaceError>,
}

impl std::fmt::Debug for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapath").field("pins", &self.pins).finish_non_exhaustive()
    }
}

impl Datapath {
    /// Loads the programs. Maps that are pinned are adopted with their entries, others are created
    /// and pinned.
    ///
    /// # Errors
    ///
    /// A pinned map of another size or layout, a kernel that refuses a program or a map, pins that
    /// can not be written.
    pub fn open(options: &Options) -> Result<Self, Error> {
        load::open(options)
    }

    /// The object with all programs loaded, for those who run them themselves
    /// (`BPF_PROG_TEST_RUN`).
    pub fn ebpf(&mut self) -> Result<&mut Ebpf, Error> {
        load::xdp(&mut self.ebpf)?;
        for packets in [false, true] {
            load::classifiers(&mut self.ebpf, [Hook::Egress, Hook::Ingress], packets)?;
            load::device(&mut self.ebpf, packets)?;
        }
        load::classifiers(&mut self.ebpf, [Hook::Loopback], true)?;
        Ok(&mut self.ebpf)
    }

    /// The name of a hook's program, with what packets to Services take or without.
    #[must_use]
    pub const fn program(hook: Hook, packets: bool) -> &'static str {
        load::program(hook, packets)
    }

    /// Writes what every program reads of the node.
    pub fn set_node(&mut self, node: &Node) -> Result<(), Error> {
        self.node.set(0, node, 0).map_err(Error::map("node"))
    }

    /// Writes what the programs know of a parent.
    pub fn put_parent(&mut self, ifindex: u32, parent: &Parent) -> Result<(), Error> {
        self.parents.insert(ifindex, parent, 0).map_err(Error::map("parents"))
    }

    /// Pins maps again whose pins were removed, and tells which. The programs had them all along,
    /// but a successor would not find them.
    pub fn restore_pins(&mut self) -> Result<Vec<&'static str>, Error> {
        let changed = self.pins.changed();
        if changed.is_some() && changed == self.pins_seen {
            return Ok(Vec::new());
        }
        let maps = [
            ("endpoints", self.endpoint_entries.map()),
            ("endpoint_heads", self.endpoint_heads.map()),
            ("namespaces", self.namespaces.map()),
            ("routes", self.routes.map()),
            ("parents", self.parents.map()),
            ("node", self.node.map()),
            ("flows", self.flows.map()),
            ("endpoint_flows", self.endpoint_flows.map()),
            ("counters", self.counters.map()),
            ("endpoint_counters", self.endpoint_counters.map()),
            ("node_flows", self.node_flows.map()),
            ("fragments", self.fragments.map()),
            ("services", self.services.map()),
            ("service_slots", self.services.slots()),
            ("backends", self.services.backends()),
            ("service_sources", self.service_sources.map()),
            ("affinities", self.affinities.map()),
            ("connections", self.connections.map()),
            ("translated_sockets", self.translated_sockets.map()),
        ];
        let mut restored = Vec::new();
        for (name, map) in maps {
            let path = self.pins.map(name);
            if !path.exists() {
                map.pin(&path).map_err(|error| {
                    Error::map(name)(MapError::PinError { name: Some(name.to_owned()), error })
                })?;
                restored.push(name);
            }
        }
        // The kernel's clock for files is coarse: another change may follow that looks like this one.
        let over = |time: &SystemTime| time.elapsed().is_ok_and(|since| since > SETTLED);
        self.pins_seen = changed.filter(over);
        Ok(restored)
    }
}
