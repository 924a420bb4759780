//! Services: what a packet that is to one, or comes from one, becomes.
//!
//! Whoever sends first to a Service has a backend chosen, and both directions noted. Answers must pass
//! this node again: where they would not, the client is hidden behind an address of the node.

use crate::{
    Address, Affinity, AffinityKey, BackendId, Connection, Connections, Endpoint, FlowKey, Hook,
    Node, NotNoted, Packet, Reason, Service, ServiceKey, Tables,
    connection::{FLAG_FIN, FLAG_FORWARD, FLAG_RST, FLAG_SYN},
    endpoint::{FLAG_SERVICE, NO_SLOT},
    flow::GATE_CONNECTIONS,
    service::{Client, Side, choose},
};

/// How a packet that is translated comes by.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// Where.
    pub hook: Hook,
    /// Interface index of the parent; of an endpoint's own device, its parent's.
    pub ifindex: u32,
    /// Slot of the endpoint that sent it, [`NO_SLOT`] if none of this node did.
    pub sender: u32,
    /// What TCP says: the byte of its header with the flags; 0 for other protocols.
    pub tcp: u8,
    /// The number of the packet that a fragment is of; 0 for whole packets.
    pub fragment: u32,
    /// A random number.
    pub random: u32,
    /// Now, in nanoseconds of `CLOCK_MONOTONIC`.
    pub now: u64,
}

const TCP: u8 = 6;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

impl Crossing {
    /// Whether TCP begins anew.
    const fn is_first(&self) -> bool {
        self.tcp & (SYN | ACK) == SYN
    }

    /// What is noted of what TCP says.
    #[inline(always)]
    const fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.tcp & SYN != 0 {
            flags |= FLAG_SYN;
        }
        if self.tcp & FIN != 0 {
            flags |= FLAG_FIN;
        }
        if self.tcp & RST != 0 {
            flags |= FLAG_RST;
        }
        flags
    }
}

/// The room that translating takes. The programs' stack is too small for it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Work {
    /// The packet: as it came, then as what it becomes.
    pub packet: Packet,
    /// Its addresses as it came: source and destination.
    pub ends: [Address; 2],
    /// Its tuple as it came.
    pub key: FlowKey,
    /// What packets with this tuple become.
    pub connection: Connection,
    reply_key: FlowKey,
    reply: Connection,
}

/// What came of translating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translated {
    /// [`Work::packet`] is what the packet becomes, [`Work::connection`] what has changed.
    Changed,
    /// It is not for a Service, nor of one.
    Unchanged,
    /// It must not go on.
    Refused(Reason),
}

/// The first port, and how many there are, to send from in the place of hidden clients: above those
/// that sockets take by themselves (`net.ipv4.ip_local_port_range`).
pub const HIDING_PORTS: (u32, u32) = (61_000, 4_536);

/// What a random number grows by from one port that is tried to the next: the golden ratio (Knuth).
pub const NEXT_TRY: u32 = 0x9e37_79b9;

/// Ports that are tried.
const TRIES: u32 = 8;

/// Whether a packet to an address that `entry` knows may be to a Service.
#[inline(always)]
pub(super) fn may_be_service<T: Tables>(tables: &T, packet: &Packet, entry: &Endpoint) -> bool {
    T::TRANSLATES && entry.has_services() && has_port(tables, packet, entry)
}

/// Ports of the node's own addresses are told apart first: what the node's processes answer on has nothing
/// to do with it.
#[inline(never)]
fn has_port<T: Tables>(tables: &T, packet: &Packet, entry: &Endpoint) -> bool {
    let in_range = |node: T::Ref<'_, Node>| node.has_port(packet.destination_port);
    entry.flags & FLAG_SERVICE != 0 || tables.node().is_some_and(in_range)
}

/// Whether a packet belongs to a connection, whose gate is open. Not in line: few ask, and the frequent
/// ways are to be short.
#[inline(never)]
pub(super) fn is_known<T: Tables>(tables: &T, packet: &Packet) -> bool {
    tables.connection(&FlowKey::of(packet)).is_some()
}

/// Whether what an endpoint sends to the host stack, which carries it, must be translated here: the stack
/// takes for its own what is to an address of the node. All else it sends on by a parent, where it is translated behind the
/// stack's connection tracking, whose answers come back before it.
#[inline(always)]
pub(super) fn ends_here<T: Tables>(tables: &T, packet: &Packet, gates: u32) -> bool {
    if !T::TRANSLATES {
        return false;
    }
    let Some(entry) = tables.endpoint(&packet.destination) else { return false };
    entry.is_host()
        && (may_be_service(tables, packet, &entry)
            || (gates & GATE_CONNECTIONS != 0 && (packet.fragment || is_known(tables, packet))))
}

/// Translates the packet of `work`, and notes what it belongs to.
#[inline(always)]
pub fn translate<T: Connections>(tables: &T, work: &mut Work, crossing: &Crossing) -> Translated {
    work.ends = [work.packet.source, work.packet.destination];
    let is_whole = !work.packet.fragment || gather(tables, work, crossing);
    work.key = FlowKey::of(&work.packet);
    work.key.source_port = work.packet.source_port;
    work.key.destination_port = work.packet.destination_port;
    if let Some(known) = tables.connection(&work.key)
        && !is_over(tables, &known, &work.packet, crossing)
    {
        work.connection = *known;
        tables.renew(&work.key, crossing.flags(), crossing.now);
        become_translated(work);
        return Translated::Changed;
    }
    match begin(tables, work, crossing, is_whole) {
        Ok(true) => {
            become_translated(work);
            Translated::Changed
        }
        Ok(false) => Translated::Unchanged,
        Err(reason) => Translated::Refused(reason),
    }
}

/// Fragments have the ports of the first one, if that has come by: whether they are known.
#[inline(always)]
fn gather<T: Connections>(tables: &T, work: &mut Work, crossing: &Crossing) -> bool {
    let Work { packet, key, .. } = work;
    // The number of the packet that they are of is in the place of ports.
    *key = FlowKey::of(packet);
    let [a, b, c, d] = crossing.fragment.to_ne_bytes();
    key.source_port = u16::from_ne_bytes([a, b]);
    key.destination_port = u16::from_ne_bytes([c, d]);
    if packet.transport != 0 {
        tables.note_fragment(key, [packet.source_port, packet.destination_port]);
        return true;
    }
    match tables.fragment(key) {
        Some([source_port, destination_port]) => {
            packet.source_port = source_port;
            packet.destination_port = destination_port;
            true
        }
        None => false,
    }
}

/// Whether what is known of a tuple is not for this packet: TCP begins anew on what was closed or has
/// lost its backend, and other protocols move on as soon as it is gone.
#[inline(always)]
fn is_over<T: Connections>(
    tables: &T,
    known: &Connection,
    packet: &Packet,
    crossing: &Crossing,
) -> bool {
    if !known.is_forward() || (packet.protocol == TCP && !crossing.is_first()) {
        return false;
    }
    let Connection { backend: BackendId { place, generation }, .. } = *known;
    known.is_closing()
        || tables.backend(place).is_none_or(|backend| backend.generation != generation)
}

#[inline(always)]
fn become_translated(work: &mut Work) {
    let Connection { source, destination, source_port, destination_port, .. } = work.connection;
    // An error is about the other direction, and its own source is whoever noticed.
    work.packet.speaks_for = source;
    if !work.packet.error || work.packet.source == work.key.source {
        work.packet.source = source;
    }
    work.packet.destination = destination;
    work.packet.source_port = source_port;
    work.packet.destination_port = destination_port;
}

/// Finds the Service that a packet is to, chooses a backend, and notes both directions. Whether there is
/// such a Service.
#[inline(always)]
fn begin<T: Connections>(
    tables: &T,
    work: &mut Work,
    crossing: &Crossing,
    is_whole: bool,
) -> Result<bool, Reason> {
    let Work { packet, .. } = work;
    let Some(entry) = tables.endpoint(&packet.destination) else { return Ok(false) };
    if entry.is_cluster() && !is_whole {
        return Err(Reason::ServiceFragment);
    }
    if !may_be_service(tables, packet, &entry) {
        return Ok(false);
    }
    let side = if crossing.hook == Hook::Ingress && crossing.sender == NO_SLOT {
        Side::Outside
    } else {
        Side::Inside
    };
    let nothing = || if entry.is_cluster() { Err(Reason::NoService) } else { Ok(false) };
    if packet.error {
        return nothing();
    }
    let Some((key, service)) = find(tables, packet, &entry) else { return nothing() };
    if side == Side::Outside {
        if !service.is_external() {
            return nothing();
        }
        if service.has_ranges() && !tables.is_admitted(service.id, &packet.source) {
            return Err(Reason::ServiceSource);
        }
    }
    let number = if service.is_hashed() { Client::hash(&work.key) } else { crossing.random };
    let client = Client { address: packet.source, side, number, now: crossing.now };
    let (id, backend) = choose(tables, &key, service, &client).ok_or(Reason::NoBackend)?;
    if service.affinity != 0 {
        let affinity = Affinity { backend: id, seen: crossing.now };
        tables.stay(&AffinityKey::new(packet.source, service.id), &affinity);
    }
    let source = seen_as(tables, packet, &backend.address, crossing.ifindex)?;
    work.connection = Connection {
        source,
        destination: backend.address,
        source_port: packet.source_port,
        destination_port: backend.port,
        flags: FLAG_FORWARD | crossing.flags(),
        backend: id,
        seen: crossing.now,
    };
    let hidden = source != packet.source;
    note(tables, work, hidden, crossing)?;
    open(tables, &work.packet.source);
    open(tables, &work.connection.source);
    open(tables, &work.connection.destination);
    Ok(true)
}

/// The Service of a packet's destination and port: of the address itself, else a node port.
#[inline(always)]
fn find<T: Connections>(
    tables: &T,
    packet: &Packet,
    entry: &Endpoint,
) -> Option<(ServiceKey, Service)> {
    let Packet { destination, destination_port, protocol, .. } = packet;
    if entry.flags & FLAG_SERVICE != 0 {
        let key = ServiceKey::new(*destination, *destination_port, *protocol);
        if let Some(service) = tables.service(&key) {
            return Some((key, service));
        }
    }
    if !entry.is_host() {
        return None;
    }
    let key = ServiceKey::any_of_node(destination, *destination_port, *protocol);
    tables.service(&key).map(|service| (key, service))
}

/// Whom the backend sees: the client, if what it answers passes this node's hooks; else the node.
///
/// It does not if neither of both is on this node, if the client is its own backend, or where a NIC of its
/// own leads past the node; what the node itself answers never does.
#[inline(always)]
fn seen_as<T: Tables>(
    tables: &T,
    packet: &Packet,
    backend: &Address,
    parent: u32,
) -> Result<Address, Reason> {
    let client = packet.source;
    let (asks, answers) = (tables.endpoint(&client), tables.endpoint(backend));
    let apart = asks.as_ref().is_none_or(|asks| asks.is_service());
    let away = answers.is_none();
    let past = match answers {
        Some(answers) if answers.is_host() => false,
        answers => [asks, answers].into_iter().flatten().any(|end| end.is_exclusive()),
    };
    if !((apart && away) || past || client == *backend) {
        return Ok(client);
    }
    let known = tables.parent(parent);
    known.and_then(|known| known.hiding(&client)).ok_or(Reason::NoPort)
}

/// Notes both directions: the answers' first, whose tuple nobody else may have.
#[inline(always)]
fn note<T: Connections>(
    tables: &T,
    work: &mut Work,
    hidden: bool,
    crossing: &Crossing,
) -> Result<(), Reason> {
    let Work { packet, ends: _, key, connection, reply_key, reply } = work;
    *reply = Connection {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        flags: 0,
        backend: connection.backend,
        seen: 0,
    };
    let (first, ports) = HIDING_PORTS;
    for attempt in 0..TRIES {
        if hidden || attempt > 0 {
            let share = crossing.random.wrapping_add(attempt.wrapping_mul(NEXT_TRY));
            let share = ((u64::from(share) * u64::from(ports)) >> 32) as u32;
            #[expect(clippy::cast_possible_truncation, reason = "less than 65,536")]
            let port = (first + share) as u16;
            connection.source_port = port.to_be();
        }
        *reply_key = connection.reverse_key(key.protocol);
        match tables.note(reply_key, reply, is_ours(tables, reply_key, key)) {
            Ok(()) => break,
            Err(NotNoted::Full) => return Err(Reason::ConnectionsFull),
            Err(NotNoted::Taken) if attempt + 1 == TRIES => return Err(Reason::NoPort),
            Err(NotNoted::Taken) => {}
        }
    }
    if tables.note(key, connection, true).is_err() {
        tables.forget(reply_key);
        return Err(Reason::ConnectionsFull);
    }
    Ok(())
}

/// Whether the answers' tuple is that of an older connection of the same client to the same Service.
#[inline(always)]
fn is_ours<T: Tables>(tables: &T, reply_key: &FlowKey, key: &FlowKey) -> bool {
    tables.connection(reply_key).is_some_and(|reply| {
        reply.source == key.destination
            && reply.destination == key.source
            && reply.source_port == key.destination_port
            && reply.destination_port == key.source_port
    })
}

/// From now on packets of the address are looked up among the connections.
#[inline(always)]
fn open<T: Connections>(tables: &T, address: &Address) {
    if let Some(endpoint) = tables.endpoint(address) {
        tables.open(endpoint.slot);
    }
}
