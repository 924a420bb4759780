//! Services at sockets: what a system call names is replaced before the kernel looks at it, so that
//! packets are the backend's from the first on, and cost nothing.
//!
//! An IPv4 destination that an IPv6 socket names in its mapped form is the IPv4 Service's: all
//! addresses have that form here.

use aya_ebpf::{
    helpers::{
        bpf_get_prandom_u32, bpf_ktime_get_ns,
        generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use netpath_common::{
    Address, Affinity, AffinityKey, BackendId, Endpoint, Service, ServiceKey, Services as _,
    SocketKey, SocketPeer, Tables as _,
    service::{Client, Side, choose},
};

use crate::{
    call::{self, ALLOW, Call, V4, V6},
    maps::{AFFINITIES, TRANSLATED_SOCKETS},
    namespace,
    tables::Maps,
};

/// How old the note of an affinity may grow before a message renews it, in nanoseconds.
const FRESH: u64 = 1_000_000_000;

/// TCP's connect, and that of connected UDP.
#[cgroup_sock_addr(connect4)]
fn netpath_connect4(ctx: SockAddrContext) -> i32 {
    connect::<V4>(ctx)
}

/// The same of IPv6 sockets.
#[cgroup_sock_addr(connect6)]
fn netpath_connect6(ctx: SockAddrContext) -> i32 {
    connect::<V6>(ctx)
}

/// UDP's messages that name a destination.
#[cgroup_sock_addr(sendmsg4)]
fn netpath_sendmsg4(ctx: SockAddrContext) -> i32 {
    send::<V4>(ctx)
}

/// The same of IPv6 sockets.
#[cgroup_sock_addr(sendmsg6)]
fn netpath_sendmsg6(ctx: SockAddrContext) -> i32 {
    send::<V6>(ctx)
}

/// Whom UDP's answers come from.
#[cgroup_sock_addr(recvmsg4)]
fn netpath_recvmsg4(ctx: SockAddrContext) -> i32 {
    reveal::<V4>(ctx)
}

/// The same of IPv6 sockets.
#[cgroup_sock_addr(recvmsg6)]
fn netpath_recvmsg6(ctx: SockAddrContext) -> i32 {
    reveal::<V6>(ctx)
}

/// Whom a socket is connected to.
#[cgroup_sock_addr(getpeername4)]
fn netpath_getpeername4(ctx: SockAddrContext) -> i32 {
    reveal::<V4>(ctx)
}

/// The same of IPv6 sockets.
#[cgroup_sock_addr(getpeername6)]
fn netpath_getpeername6(ctx: SockAddrContext) -> i32 {
    reveal::<V6>(ctx)
}

/// Node ports are nobody else's.
#[cgroup_sock_addr(bind4)]
fn netpath_bind4(ctx: SockAddrContext) -> i32 {
    bind::<V4>(ctx)
}

/// The same of IPv6 sockets.
#[cgroup_sock_addr(bind6)]
fn netpath_bind6(ctx: SockAddrContext) -> i32 {
    bind::<V6>(ctx)
}

#[inline(always)]
fn connect<const FAMILY: u8>(ctx: SockAddrContext) -> i32 {
    translate(&Call::<FAMILY>::new(&ctx), |_, _| {
        // SAFETY: a number of the kernel's generator.
        unsafe { bpf_get_prandom_u32() }
    })
}

/// A socket stays with its backend for as long as the Service's backends are the same.
#[inline(always)]
fn send<const FAMILY: u8>(ctx: SockAddrContext) -> i32 {
    translate(&Call::<FAMILY>::new(&ctx), mix)
}

/// Leads a call to one of the backends, if it is for a Service. `number` chooses, by the socket and the
/// Service.
#[inline(always)]
fn translate<const FAMILY: u8>(
    call: &Call<FAMILY>,
    number: impl FnOnce(u64, &Service) -> u32,
) -> i32 {
    let Some(protocol) = call.protocol() else { return ALLOW };
    let (address, port) = (call.address(), call.port());
    let Some((key, service)) = find(&address, port, protocol) else { return ALLOW };
    // SAFETY: the helper takes any call's socket.
    let cookie = unsafe { bpf_get_socket_cookie(call.context()) };
    // SAFETY: as above.
    let namespace = unsafe { bpf_get_netns_cookie(call.context()) };
    let client = Client {
        address: AffinityKey::of_namespace(namespace),
        side: Side::Inside,
        number: number(cookie, &service),
        // SAFETY: a read of the clock.
        now: unsafe { bpf_ktime_get_ns() },
    };
    let Some((id, backend)) = choose(&Maps, &key, service, &client) else {
        return call::refuse(call::CONNECTION_REFUSED);
    };
    if service.affinity != 0 {
        stay(&client, &service, id);
    }
    let key = SocketKey {
        cookie,
        backend: backend.address,
        port: backend.port,
        protocol: protocol.into(),
        reserved: 0,
    };
    note(&key, SocketPeer { address, port, reserved: [0; 3] });
    call.set(&backend.address, backend.port);
    ALLOW
}

/// The Service of a destination: by its address, else by the port if that is one of the node's.
#[inline(always)]
fn find(address: &Address, port: u16, protocol: u8) -> Option<(ServiceKey, Service)> {
    let key = ServiceKey::new(*address, port, protocol);
    if let Some(service) = Maps.service(&key) {
        return Some((key, service));
    }
    let endpoint = Maps.endpoint(address)?;
    if !endpoint.has_node_ports() {
        return None;
    }
    let key = ServiceKey::any_of_node(address, port, protocol);
    Maps.service(&key).map(|service| (key, service))
}

/// A number for a socket and a Service: every bit of either counts for the upper bits (Stafford's 13th
/// variant of `MurmurHash3`'s last step).
#[inline(always)]
fn mix(cookie: u64, service: &Service) -> u32 {
    let mut mixed = cookie ^ u64::from(service.id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

/// Notes that a client was heard, and with whom it stays.
#[inline(always)]
fn stay(client: &Client, service: &Service, backend: BackendId) {
    let key = AffinityKey::new(client.address, service.id);
    if let Some(known) = Maps.affinity(&key)
        && known.backend == backend
        && client.now.wrapping_sub(known.seen) < FRESH
    {
        return;
    }
    // An LRU map makes room by itself.
    let _: Result<(), i32> = AFFINITIES.insert(key, Affinity { backend, seen: client.now }, 0);
}

/// Notes whom a socket believes to talk to.
#[inline(always)]
fn note(key: &SocketKey, peer: SocketPeer) {
    // SAFETY: read at once; who replaces it meanwhile is a thread of the same process.
    if let Some(known) = unsafe { TRANSLATED_SOCKETS.get(key) }
        && *known == peer
    {
        return;
    }
    // An LRU map makes room by itself.
    let _: Result<(), i32> = TRANSLATED_SOCKETS.insert(key, peer, 0);
}

/// Names the Service in the place of its backend.
#[inline(always)]
fn reveal<const FAMILY: u8>(ctx: SockAddrContext) -> i32 {
    let call = Call::<FAMILY>::new(&ctx);
    let Some(protocol) = call.protocol() else { return ALLOW };
    // SAFETY: the helper takes any call's socket.
    let cookie = unsafe { bpf_get_socket_cookie(call.context()) };
    let key = SocketKey {
        cookie,
        backend: call.address(),
        port: call.port(),
        protocol: protocol.into(),
        reserved: 0,
    };
    // SAFETY: as in `note`.
    if let Some(SocketPeer { address, port, reserved: _ }) = unsafe { TRANSLATED_SOCKETS.get(key) }
    {
        call.set(address, *port);
    }
    ALLOW
}

/// Refuses an address of the node with a port that is a Service's there. `::` is IPv4's as well: whether
/// the socket wants IPv6 only can not be told.
#[inline(always)]
fn bind<const FAMILY: u8>(ctx: SockAddrContext) -> i32 {
    let call = Call::<FAMILY>::new(&ctx);
    let (address, port) = (call.address(), call.port());
    let Some(protocol) = call.protocol() else { return ALLOW };
    if port == 0 || !namespace::is_node(call.socket()) {
        return ALLOW;
    }
    let any = address.is_unspecified();
    if !any && !Maps.endpoint(&address).is_some_and(Endpoint::has_node_ports) {
        return ALLOW;
    }
    if is_node_port(&address, port, protocol)
        || (any && is_node_port(&Address::v4([0; 4]), port, protocol))
    {
        return call::refuse(call::ADDRESS_IN_USE);
    }
    ALLOW
}

/// Whether a Service has the port on the addresses of a family.
#[inline(always)]
fn is_node_port(like: &Address, port: u16, protocol: u8) -> bool {
    Maps.service(&ServiceKey::any_of_node(like, port, protocol)).is_some()
}
