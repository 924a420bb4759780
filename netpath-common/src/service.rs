//! Services: addresses that stand for backends.
//!
//! A client's address, port and protocol lead to a [`Service`]; it has two runs of [slots](Run), one for
//! who asks from this cluster and one for who asks from the wire; a slot leads to a [`Backend`]. Whoever
//! changes a Service writes a new run and then the Service, in one step: nobody sees half of it.

use crate::{Address, FlowKey};

/// Key of the `services` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct ServiceKey {
    /// The address that clients know; [`ServiceKey::any_of_node`] for node ports.
    pub address: Address,
    /// The port in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u16,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<ServiceKey>() == 24);

impl ServiceKey {
    /// The key of an address and a port in network order.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self { address, port, protocol: protocol as u16, reserved: 0 }
    }

    /// The key of a port on all of the node's own addresses: under the unspecified address of the
    /// family of `like`.
    #[inline(always)]
    #[must_use]
    pub const fn any_of_node(like: &Address, port: u16, protocol: u8) -> Self {
        let any = if like.is_v4() { Address::v4([0; 4]) } else { Address::UNSPECIFIED };
        Self::new(any, port, protocol)
    }
}

/// Slots of the `service_slots` map that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Run {
    /// The first.
    pub first: u32,
    /// How many there are; none: nobody answers.
    pub count: u32,
}

/// What the `services` map knows of a Service's port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// Its number, the same for all addresses that share affinity and source ranges.
    pub id: u32,
    /// Seconds for which a client stays with its backend after it was last heard; 0 for no affinity.
    pub affinity: u32,
    /// Backends for endpoints and for the node.
    pub inside: Run,
    /// Backends for who asks from the wire.
    pub outside: Run,
    /// [`FLAG_EXTERNAL`], [`FLAG_HASHED`] and [`FLAG_RANGES`].
    pub flags: u32,
    /// Keeps room.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Service>() == 32 && align_of::<Service>() == 4);

/// Who is on the wire may ask.
pub const FLAG_EXTERNAL: u32 = 1;

/// Backends are chosen by a hash of the client's address and ports, the same on every node: the runs
/// are Maglev's tables. Otherwise they are chosen at random.
pub const FLAG_HASHED: u32 = 2;

/// Who is on the wire may ask only from the prefixes that `service_sources` has for its number.
pub const FLAG_RANGES: u32 = 4;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// An endpoint or the node.
    Inside,
    /// The wire.
    Outside,
}

impl Service {
    /// Whether it is for who is on the wire as well.
    #[inline(always)]
    #[must_use]
    pub const fn is_external(&self) -> bool {
        self.flags & FLAG_EXTERNAL != 0
    }

    /// Whether backends are chosen by a hash.
    #[inline(always)]
    #[must_use]
    pub const fn is_hashed(&self) -> bool {
        self.flags & FLAG_HASHED != 0
    }

    /// Whether who is on the wire may ask only from some prefixes.
    #[inline(always)]
    #[must_use]
    pub const fn has_ranges(&self) -> bool {
        self.flags & FLAG_RANGES != 0
    }

    /// The backends for who asks.
    #[inline(always)]
    #[must_use]
    pub const fn run(&self, side: Side) -> Run {
        match side {
            Side::Inside => self.inside,
            Side::Outside => self.outside,
        }
    }
}

/// What the `backends` map has at a place: somebody who answers for Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Backend {
    /// Its address.
    pub address: Address,
    /// Its port in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u16,
    /// Of a place that was given to another backend, another one; 0 while nobody is there: who was is
    /// gone, and gets no more than the rest of what began by TCP.
    pub generation: u32,
}

const _: () = assert!(size_of::<Backend>() == 24);

impl Backend {
    /// Whether somebody is there.
    #[inline(always)]
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.generation != 0
    }
}

/// A backend by its place and the generation of who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct BackendId {
    /// The index in `backends`.
    pub place: u32,
    /// See [`Backend::generation`].
    pub generation: u32,
}

/// Key of the `affinities` map: a client of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct AffinityKey {
    /// The client: its address, or for sockets [that of its network namespace](Self::of_namespace).
    pub client: Address,
    /// See [`Service::id`].
    pub service: u32,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<AffinityKey>() == 24);

impl AffinityKey {
    /// The key of a client.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: Address, service: u32) -> Self {
        Self { client, service, reserved: 0 }
    }

    /// What stands for all sockets of a network namespace, which have no address yet when they connect:
    /// its cookie in an address that nobody has (`0::/64`).
    #[inline(always)]
    #[must_use]
    pub const fn of_namespace(cookie: u64) -> Address {
        Address::from_halves([0, cookie])
    }
}

/// Value of the `affinities` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Affinity {
    /// With whom the client stays.
    pub backend: BackendId,
    /// When it was last heard, in nanoseconds of `CLOCK_MONOTONIC`.
    pub seen: u64,
}

const _: () = assert!(size_of::<Affinity>() == 16);

/// Key of the `translated_sockets` map: a socket that talks to a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SocketKey {
    /// The kernel's number of the socket (`bpf_get_socket_cookie`).
    pub cookie: u64,
    /// The backend's address.
    pub backend: Address,
    /// The backend's port in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u16,
    /// Keeps the layout free of padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<SocketKey>() == 32);

/// Value of the `translated_sockets` map: the Service that the socket believes it talks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SocketPeer {
    /// Its address.
    pub address: Address,
    /// Its port in network order.
    pub port: u16,
    /// Keep the layout free of padding.
    pub reserved: [u16; 3],
}

const _: () = assert!(size_of::<SocketPeer>() == 24);

/// Read access to the tables of Services, whatever they are kept in.
pub trait Services {
    /// The Service of an address, a port and a protocol.
    fn service(&self, key: &ServiceKey) -> Option<Service>;

    /// The place of a backend that a slot leads to.
    fn slot(&self, slot: u32) -> Option<u32>;

    /// What is at a place for backends.
    fn backend(&self, place: u32) -> Option<Backend>;

    /// With whom a client stays.
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity>;

    /// Whether a Service with source ranges answers to an address on the wire.
    fn is_admitted(&self, service: u32, address: &Address) -> bool;
}

/// Who asks a Service.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The client, as affinity knows it.
    pub address: Address,
    /// Where it is.
    pub side: Side,
    /// A number that backends are chosen by: at random, or [by hash](Client::hash).
    pub number: u32,
    /// Now, in nanoseconds of `CLOCK_MONOTONIC`.
    pub now: u64,
}

impl Client {
    /// The number of a flow that every node chooses the same backend by.
    #[inline(always)]
    #[must_use]
    pub const fn hash(flow: &FlowKey) -> u32 {
        flow.digest()
    }
}

/// Chooses a backend: the one that the client stays with, if the Service has affinity and it is still
/// there; else one of the run. `None` if nobody answers.
///
/// Where the one chosen is gone, the Service has changed since it was looked up: it is looked up again,
/// once.
#[inline(always)]
#[must_use]
pub fn choose<S: Services>(
    tables: &S,
    key: &ServiceKey,
    service: Service,
    client: &Client,
) -> Option<(BackendId, Backend)> {
    if service.affinity != 0
        && let Some(affinity) = tables.affinity(&AffinityKey::new(client.address, service.id))
        && client.now.wrapping_sub(affinity.seen) < u64::from(service.affinity) * 1_000_000_000
        && let Some(backend) = tables.backend(affinity.backend.place)
        && backend.generation == affinity.backend.generation
        && backend.is_there()
    {
        return Some((affinity.backend, backend));
    }
    if let Some(found) = pick(tables, service.run(client.side), client.number) {
        return Some(found);
    }
    let service = tables.service(key)?;
    pick(tables, service.run(client.side), client.number)
}

/// The backend of a run that has a number's share.
#[inline(always)]
fn pick<S: Services>(tables: &S, run: Run, number: u32) -> Option<(BackendId, Backend)> {
    if run.count == 0 {
        return None;
    }
    let share = ((u64::from(number) * u64::from(run.count)) >> 32) as u32;
    let place = tables.slot(run.first.wrapping_add(share))?;
    let backend = tables.backend(place)?;
    let id = BackendId { place, generation: backend.generation };
    if backend.is_there() { Some((id, backend)) } else { None }
}
