//! The tables in the kernel. The agent pins them under their names and sets their sizes.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use netpath_common::{
    Affinity, AffinityKey, Backend, Connection, Counter, EndpointCount, EndpointEntry, Flow,
    FlowKey, Node, Packet, Parent, Route, Service, ServiceKey, SocketKey, SocketPeer,
    route::RouteData,
};

use crate::translate::Desk;

/// Entries come and go with pods: memory only for those that exist.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// The agent writes by its own mapping of the memory.
const SHARED: usize = BPF_F_MMAPABLE as usize;

/// Addresses of this node's endpoints, and its own: see [`EndpointEntry`].
#[btf_map(name = "endpoints")]
pub(crate) static ENDPOINTS: Array<EndpointEntry, 100_000, SHARED> = Array::new();

/// Where chains of `endpoints` begin.
#[btf_map(name = "endpoint_heads")]
pub(crate) static ENDPOINT_HEADS: Array<u32, { EndpointEntry::HEADS as usize }, SHARED> =
    Array::new();

/// Network namespaces of endpoints, by number.
#[btf_map(name = "namespaces")]
pub(crate) static NAMESPACES: HashMap<u32, u32, 100_000, ON_DEMAND> = HashMap::new();

/// Bits of a socket's cookie that choose its place in `sockets`.
pub(crate) const SOCKETS_BITS: u32 = 14;

/// Numbers of sockets' network namespaces, found out once per socket: what is left of its cookie in
/// the upper half. Who comes later has the place.
#[btf_map(name = "sockets")]
pub(crate) static SOCKETS: Array<u64, { 1 << SOCKETS_BITS }> = Array::new();

/// What `headers` made of a frame, for the program that asked.
#[btf_map(name = "parsed")]
pub(crate) static PARSED: PerCpuArray<Packet, 1> = PerCpuArray::new();

/// Destination prefixes by route table.
#[btf_map(name = "routes")]
pub(crate) static ROUTES: LpmTrie<RouteData, Route, 100_000> = LpmTrie::new();

/// Parents by interface index.
#[btf_map(name = "parents")]
pub(crate) static PARENTS: HashMap<u32, Parent, 256> = HashMap::new();

/// Facts about the node.
#[btf_map(name = "node")]
pub(crate) static NODE: Array<Node, 1> = Array::new();

/// Flows whose way back leads through the host stack.
#[btf_map(name = "flows")]
pub(crate) static FLOWS: LruHashMap<FlowKey, Flow, 65_536> = LruHashMap::new();

/// By slot: [`GATE_FLOWS`](netpath_common::flow::GATE_FLOWS) once a flow of the endpoint was recorded,
/// [`GATE_CONNECTIONS`](netpath_common::flow::GATE_CONNECTIONS) once a connection of it was translated.
#[btf_map(name = "endpoint_flows")]
pub(crate) static ENDPOINT_FLOWS: Array<u32, 100_000> = Array::new();

/// The same of the node itself.
#[btf_map(name = "node_flows")]
pub(crate) static NODE_FLOWS: Array<u32, 1> = Array::new();

/// Packets and bytes by parent, hook, path and reason: a hash table per CPU, which costs a third of the
/// kernel's own.
#[btf_map(name = "counters")]
pub(crate) static COUNTERS: PerCpuArray<Counter, { Counter::LINES as usize }> = PerCpuArray::new();

/// Packets and bytes by endpoint slot.
#[btf_map(name = "endpoint_counters")]
pub(crate) static ENDPOINT_COUNTERS: PerCpuArray<EndpointCount, 100_000> = PerCpuArray::new();

/// Services by address, port and protocol.
#[btf_map(name = "services")]
pub(crate) static SERVICES: HashMap<ServiceKey, Service, 65_536, ON_DEMAND> = HashMap::new();

/// Places of backends, in runs of those that answer for one Service.
#[btf_map(name = "service_slots")]
pub(crate) static SERVICE_SLOTS: Array<u32, 524_288, SHARED> = Array::new();

/// Who answers for Services.
#[btf_map(name = "backends")]
pub(crate) static BACKENDS: Array<Backend, 131_072, SHARED> = Array::new();

/// Prefixes on the wire that may ask a Service, by its number in the place of a table's; with the key's
/// own length, for a lookup returns the value only.
#[btf_map(name = "service_sources")]
pub(crate) static SERVICE_SOURCES: LpmTrie<RouteData, u32, 65_536> = LpmTrie::new();

/// With whom clients stay.
#[btf_map(name = "affinities")]
pub(crate) static AFFINITIES: LruHashMap<AffinityKey, Affinity, 65_536> = LruHashMap::new();

/// Flows that are translated, both directions of each.
#[btf_map(name = "connections")]
pub(crate) static CONNECTIONS: HashMap<FlowKey, Connection, 262_144, ON_DEMAND> = HashMap::new();

/// Ports of packets that come in fragments, by the packet's number in the place of ports.
#[btf_map(name = "fragments")]
pub(crate) static FRAGMENTS: LruHashMap<FlowKey, [u16; 2], 4_096> = LruHashMap::new();

/// What a program translates now.
#[btf_map(name = "translation")]
pub(crate) static TRANSLATION: PerCpuArray<Desk, 1> = PerCpuArray::new();

/// Sockets that talk to backends and believe that they talk to a Service.
#[btf_map(name = "translated_sockets")]
pub(crate) static TRANSLATED_SOCKETS: LruHashMap<SocketKey, SocketPeer, 65_536> = LruHashMap::new();
