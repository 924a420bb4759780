//! Whose socket sent a packet: the number of its network namespace.
//!
//! Linux 6.15 has a helper for it at TC (`bpf_get_netns_cookie`); here it is read from the socket
//! itself, on every kernel alike, where the agent found out that it may be and at what offset.

use core::mem::MaybeUninit;

use aya_ebpf::{
    Global,
    bindings::{__sk_buff, bpf_sock},
    helpers::generated::{bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_sk_fullsock},
};
use netpath_common::namespace::SOCKET_NAMESPACE;

use crate::maps::{SOCKETS, SOCKETS_BITS};

/// Offset of `ns.inum` in `struct net`, set at load; 0 where namespaces can not be told apart.
#[unsafe(no_mangle)]
static NAMESPACE_NUMBER: Global<u32> = Global::new(0);

/// The number of the node's own namespace, set at load.
#[unsafe(no_mangle)]
static NODE_NAMESPACE: Global<u32> = Global::new(0);

/// `enum sock_type` of `linux/net.h`.
const SOCK_RAW: u32 = 3;

/// The part of a socket up to the pointer to its namespace. The verifier allows no arithmetic with
/// pointers to sockets, so the way there is read too.
#[repr(C)]
struct Socket {
    _before: [u64; SOCKET_NAMESPACE / 8],
    namespace: u64,
}

/// The number of the namespace that the packet's socket is at home in; 0 without a socket.
#[inline(always)]
pub(crate) fn of(skb: *mut __sk_buff) -> u32 {
    let offset = NAMESPACE_NUMBER.load();
    if offset == 0 {
        // A constant to the verifier: what follows is dead code, and unknown helpers no matter.
        return 0;
    }
    // SAFETY: the helper takes any skb, and gives 0 to one without a socket.
    let cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    if cookie == 0 {
        return 0;
    }
    let Some(known) = SOCKETS.get_ptr_mut(cookie as u32 & ((1 << SOCKETS_BITS) - 1)) else {
        return 0;
    };
    // SAFETY: an aligned word of an array map, which never moves; who writes it meanwhile replaces
    // it whole.
    let word = unsafe { known.read() };
    // No two sockets since boot have the same cookie; this many bits of it count them for years.
    let tag = cookie >> SOCKETS_BITS << 32;
    if word & !u64::from(u32::MAX) == tag && word != tag {
        return word as u32;
    }
    let number = read_from(skb, offset);
    if stays(skb) {
        // SAFETY: as above.
        unsafe { known.write(tag | u64::from(number)) };
    }
    number
}

/// Whether the packet's socket stays in its namespace. The kernel's own, which send resets and echo
/// replies for everybody, go along (`sock_net_set` in `ip_send_unicast_reply` and `icmp_xmit_lock`); they
/// are raw ones.
#[inline(always)]
fn stays(skb: *mut __sk_buff) -> bool {
    // SAFETY: the kernel hands every program a valid context.
    let field = unsafe { &(*skb).__bindgen_anon_2 };
    // SAFETY: its only field is a pointer, or null.
    let socket = unsafe { field.sk };
    if socket.is_null() {
        return false;
    }
    // SAFETY: the helper takes any socket, and gives null for one that is only a part of one.
    let socket = unsafe { bpf_sk_fullsock(socket) };
    // SAFETY: the kernel's view of a whole socket.
    !socket.is_null() && unsafe { (*socket).type_ } != SOCK_RAW
}

/// Finds the number out.
#[inline(never)]
fn read_from(skb: *mut __sk_buff, offset: u32) -> u32 {
    // SAFETY: the kernel hands every program a valid context.
    let field = unsafe { &(*skb).__bindgen_anon_2 };
    // SAFETY: its only field is a pointer, or null.
    let socket = unsafe { field.sk };
    if socket.is_null() { 0 } else { number_of(socket, offset) }
}

/// Whether a socket is at home in the node's own namespace. Not known where namespaces can not be told
/// apart: of no socket then.
#[inline(always)]
pub(crate) fn is_node(socket: *mut bpf_sock) -> bool {
    let (offset, node) = (NAMESPACE_NUMBER.load(), NODE_NAMESPACE.load());
    offset != 0 && node != 0 && number_of(socket, offset) == node
}

/// Reads the number of a socket's namespace.
#[inline(always)]
fn number_of(socket: *mut bpf_sock, offset: u32) -> u32 {
    let mut copy = MaybeUninit::<Socket>::uninit();
    let Some(Socket { namespace, .. }) = read(&mut copy, socket.addr() as u64) else { return 0 };
    let mut number = MaybeUninit::<u32>::uninit();
    read(&mut number, namespace + u64::from(offset)).copied().unwrap_or(0)
}

/// Copies a value out of the kernel's memory. `T` is made of integers.
#[inline(always)]
fn read<T>(into: &mut MaybeUninit<T>, address: u64) -> Option<&T> {
    let size = size_of::<T>() as u32;
    // SAFETY: the helper writes the whole of the buffer, zeroes where it fails.
    let result =
        unsafe { bpf_probe_read_kernel(into.as_mut_ptr().cast(), size, address as *const _) };
    // SAFETY: written, and any bits are a value.
    (result == 0).then(|| unsafe { into.assume_init_ref() })
}
