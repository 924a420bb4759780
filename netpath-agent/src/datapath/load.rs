//! The object: its maps pinned or adopted, its programs loaded.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, IterableMap as _, Map, MapData, MapError, MapInfo},
    programs::{CgroupSockAddr, ProgramType, SchedClassifier, Xdp},
    sys::{BpfHelper, is_helper_supported},
};
use netpath_common::{
    Affinity, AffinityKey, Backend, Connection, Counter, EndpointCount, EndpointEntry, Flow,
    FlowKey, Hook, Node, Parent, Route, Service, ServiceKey, SocketKey, SocketPeer,
    route::RouteKey,
};

use super::{
    Datapath, Error, Options, Sockets, SocketsStatus,
    exact::{self, Exact},
    kernel_types,
    pins::Pins,
    predecessor,
    services::{self, Book},
};
use crate::config::Capacity;

/// The object that the build script made of netpath-ebpf.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpath-ebpf"));

/// Parents that a node can have.
const PARENTS: u32 = 256;

/// Slots for each backend.
const SLOTS: u32 = 4;

/// Clients that stay with a backend, and sockets that talk to one: the oldest give way.
const CLIENTS: u32 = 65_536;

/// Packets in fragments whose ports are known: the oldest give way.
const FRAGMENTS: u32 = 4_096;

/// Names of the programs in the object and in bpftool.
pub(super) const XDP: &str = "netpath_xdp";

/// What a map should be.
pub(super) struct Shape {
    pub(super) name: &'static str,
    key: usize,
    value: usize,
    entries: u32,
}

/// The map of the parents.
pub(super) const fn parents() -> Shape {
    Shape { name: "parents", key: size_of::<u32>(), value: size_of::<Parent>(), entries: PARENTS }
}

fn shapes(capacity: &Capacity) -> [Shape; 19] {
    let shape = |name, key, value, entries| Shape { name, key, value, entries };
    let Capacity { endpoints, routes, flows, services: keys, backends, connections } = *capacity;
    let slots = backends * SLOTS;
    [
        shape("endpoints", size_of::<u32>(), size_of::<EndpointEntry>(), endpoints + exact::SPARE),
        shape("endpoint_heads", size_of::<u32>(), size_of::<u32>(), EndpointEntry::HEADS),
        shape("namespaces", size_of::<u32>(), size_of::<u32>(), endpoints),
        shape("routes", size_of::<RouteKey>(), size_of::<Route>(), routes),
        parents(),
        shape("node", size_of::<u32>(), size_of::<Node>(), 1),
        shape("flows", size_of::<FlowKey>(), size_of::<Flow>(), flows),
        shape("endpoint_flows", size_of::<u32>(), size_of::<u32>(), endpoints),
        shape("node_flows", size_of::<u32>(), size_of::<u32>(), 1),
        shape("counters", size_of::<u32>(), size_of::<Counter>(), Counter::LINES),
        shape("endpoint_counters", size_of::<u32>(), size_of::<EndpointCount>(), endpoints),
        shape("services", size_of::<ServiceKey>(), size_of::<Service>(), keys),
        shape("service_slots", size_of::<u32>(), size_of::<u32>(), slots + services::KEPT_SLOTS),
        shape("backends", size_of::<u32>(), size_of::<Backend>(), backends + services::SPARE),
        shape("service_sources", size_of::<RouteKey>(), size_of::<u32>(), keys),
        shape("affinities", size_of::<AffinityKey>(), size_of::<Affinity>(), CLIENTS),
        shape("fragments", size_of::<FlowKey>(), size_of::<[u16; 2]>(), FRAGMENTS),
        shape("connections", size_of::<FlowKey>(), size_of::<Connection>(), connections),
        shape("translated_sockets", size_of::<SocketKey>(), size_of::<SocketPeer>(), CLIENTS),
    ]
}

pub(super) fn open(options: &Options) -> Result<Datapath, Error> {
    let pins = Pins::new(&options.pins);
    let shapes = shapes(&options.capacity);
    for shape in &shapes {
        check(&pins, shape)?;
    }
    pins.create()?;
    predecessor::take_over_maps(&pins, &shapes)?;
    let mut loader = EbpfLoader::new();
    for Shape { name, entries, .. } in &shapes {
        loader.map_max_entries(name, *entries).map_pin_path(name, pins.map(name));
    }
    let number = kernel_types::namespace_number();
    let offset = number.as_ref().copied().unwrap_or(0);
    let node = node_namespace();
    let errors = u32::from(options.sockets != Sockets::Off && gives_errors());
    loader.override_global("NAMESPACE_NUMBER", &offset, true);
    loader.override_global("NODE_NAMESPACE", &node, true);
    loader.override_global("SOCKET_ERRORS", &errors, true);
    let mut ebpf = loader.load(OBJECT).map_err(|error| Error::Load(Box::new(error)))?;
    classifiers(&mut ebpf, [Hook::Egress, Hook::Ingress], options.packets)?;
    let entries: Array<MapData, EndpointEntry> = take(&mut ebpf, "endpoints")?;
    let heads: Array<MapData, u32> = take(&mut ebpf, "endpoint_heads")?;
    let endpoints = Exact::open(heads.map(), entries.map())
        .map_err(|error| Error::map("endpoints")(MapError::IoError(error)))?;
    let services = Book::open(
        take(&mut ebpf, "services")?,
        take(&mut ebpf, "service_slots")?,
        take(&mut ebpf, "backends")?,
        options.capacity.services,
    )?;
    Ok(Datapath {
        endpoints,
        endpoint_entries: entries,
        endpoint_heads: heads,
        namespaces: take(&mut ebpf, "namespaces")?,
        routes: take(&mut ebpf, "routes")?,
        parents: take(&mut ebpf, "parents")?,
        node: take(&mut ebpf, "node")?,
        flows: take(&mut ebpf, "flows")?,
        endpoint_flows: take(&mut ebpf, "endpoint_flows")?,
        counters: take(&mut ebpf, "counters")?,
        endpoint_counters: take(&mut ebpf, "endpoint_counters")?,
        node_flows: take(&mut ebpf, "node_flows")?,
        fragments: take(&mut ebpf, "fragments")?,
        services,
        service_sources: take(&mut ebpf, "service_sources")?,
        affinities: take(&mut ebpf, "affinities")?,
        connections: take(&mut ebpf, "connections")?,
        translated_sockets: take(&mut ebpf, "translated_sockets")?,
        ebpf,
        pins,
        attach: options.attach,
        packets: options.packets,
        capacity: options.capacity.clone(),
        attached: BTreeMap::new(),
        devices: BTreeMap::new(),
        sockets: options.sockets.clone(),
        socket_status: SocketsStatus::default(),
        pins_seen: None,
        sight: number.map(drop),
    })
}

/// The number of the calling thread's network namespace, which is the node's; 0 if it is not told.
fn node_namespace() -> u32 {
    let inode = fs::metadata("/proc/thread-self/ns/net").map_or(0, |file| file.ino());
    u32::try_from(inode).unwrap_or(0)
}

/// Whether a program of a socket may say what its call fails with.
fn gives_errors() -> bool {
    let helper = BpfHelper::BPF_FUNC_set_retval;
    is_helper_supported(ProgramType::CgroupSockAddr, helper).unwrap_or(false)
}

/// aya takes a pinned map as it is: one of another size would be read wrongly.
pub(super) fn check(pins: &Pins, shape: &Shape) -> Result<(), Error> {
    let path = pins.map(shape.name);
    if !path.exists() {
        return Ok(());
    }
    let info: MapInfo =
        MapData::from_pin(&path).and_then(|map| map.info()).map_err(Error::map(shape.name))?;
    for (property, found, expected) in [
        ("key size", info.key_size(), u32::try_from(shape.key).unwrap_or(u32::MAX)),
        ("value size", info.value_size(), u32::try_from(shape.value).unwrap_or(u32::MAX)),
        ("capacity", info.max_entries(), shape.entries),
    ] {
        if found != expected {
            return Err(Error::Layout { path, property, found, expected });
        }
    }
    Ok(())
}

fn take<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, Error> {
    let map = ebpf.take_map(name).ok_or(Error::Missing(name))?;
    M::try_from(map).map_err(Error::map(name))
}

/// A TC program of the object.
pub(super) fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, Error> {
    let program = ebpf.program_mut(name).ok_or(Error::Missing(name))?;
    program.try_into().map_err(|source| Error::Program { name, source: Box::new(source) })
}

/// The name of a hook's program in the object and in bpftool: where packets are translated for Services,
/// another one.
pub(super) const fn program(hook: Hook, packets: bool) -> &'static str {
    match (hook, packets) {
        (Hook::Egress, false) => "netpath_egress",
        (Hook::Egress, true) => "netpath_egress_services",
        (Hook::Ingress, false) => "netpath_ingress",
        (Hook::Ingress, true) => "netpath_ingress_services",
        (Hook::FromEndpoint, false) => "netpath_from_endpoint",
        (Hook::FromEndpoint, true) => "netpath_from_endpoint_services",
        (Hook::ToEndpoint, false) => "netpath_to_endpoint",
        (Hook::ToEndpoint, true) => "netpath_to_endpoint_services",
        (Hook::Loopback, _) => "netpath_loopback",
        (Hook::Xdp, _) => XDP,
    }
}

/// Loads the programs of TC hooks, unless they are loaded.
pub(super) fn classifiers<const N: usize>(
    ebpf: &mut Ebpf,
    hooks: [Hook; N],
    packets: bool,
) -> Result<(), Error> {
    for name in hooks.map(|hook| program(hook, packets)) {
        let program = classifier(ebpf, name)?;
        if program.fd().is_err() {
            program.load().map_err(|source| Error::Program { name, source: Box::new(source) })?;
        }
    }
    Ok(())
}

/// The same of endpoints' own devices, whose programs are loaded when they are first wanted.
pub(super) fn device(ebpf: &mut Ebpf, packets: bool) -> Result<(), Error> {
    classifiers(ebpf, [Hook::FromEndpoint, Hook::ToEndpoint], packets)
}

/// A program of sockets, loaded when it is first wanted.
pub(super) fn socket<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut CgroupSockAddr, Error> {
    let refused = |source| Error::Program { name, source: Box::new(source) };
    let program = ebpf.program_mut(name).ok_or(Error::Missing(name))?;
    let program: &mut CgroupSockAddr = program.try_into().map_err(refused)?;
    if program.fd().is_err() {
        program.load().map_err(refused)?;
    }
    Ok(program)
}

/// The XDP program of the object, loaded when it is first wanted: the verifier takes several times as
/// long for it as for the others, and most parents have none.
pub(super) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let refused = |source| Error::Program { name: XDP, source: Box::new(source) };
    let program = ebpf.program_mut(XDP).ok_or(Error::Missing(XDP))?;
    let program: &mut Xdp = program.try_into().map_err(refused)?;
    if program.fd().is_err() {
        program.load().map_err(refused)?;
    }
    Ok(program)
}
