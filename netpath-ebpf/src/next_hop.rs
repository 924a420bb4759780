//! Sending a packet to a route's next hop.

use aya_ebpf::{
    bindings::{bpf_redir_neigh as Neighbour, bpf_redir_neigh__bindgen_ty_1 as NeighbourAddress},
    helpers::bpf_redirect_neigh,
    programs::TcContext,
};
use netpath_common::{Packet, decide};

use crate::{act::RewriteFailed, tables::Maps};

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// `skb->tc_index` of a packet that the neighbour table sends. No queueing discipline of Linux uses
/// the value; a pod that writes it by programs of its own only keeps the neighbour it chose.
const SENT: u32 = 0x6e70;

/// Whether the packet comes from [`send`]: the neighbour table hands it to the parent as any other
/// packet, so that it crosses TC egress again.
#[inline(always)]
pub(crate) fn is_sent(ctx: &TcContext) -> bool {
    let skb = ctx.skb.skb;
    // SAFETY: the kernel hands every program a valid context.
    let index = unsafe { &raw mut (*skb).tc_index };
    // SAFETY: TC programs may read and write the field.
    if unsafe { index.read() } != SENT {
        return false;
    }
    // SAFETY: as above.
    unsafe { index.write(0) };
    true
}

/// Hands the packet to the host's neighbour table, which finds the next hop's Ethernet address and
/// sends the packet on the same parent.
#[inline(never)]
pub(crate) fn send(ctx: &TcContext, packet: &Packet, ifindex: u32) -> Result<i32, RewriteFailed> {
    let address = decide::next_hop(&Maps, packet).ok_or(RewriteFailed)?;
    let words = address.to_words();
    let mut neighbour = Neighbour {
        nh_family: if address.is_v4() { AF_INET } else { AF_INET6 },
        __bindgen_anon_1: NeighbourAddress { ipv6_nh: words },
    };
    if address.is_v4() {
        neighbour.__bindgen_anon_1.ipv4_nh = words[3];
    }
    // SAFETY: TC programs may write the field.
    unsafe { (*ctx.skb.skb).tc_index = SENT };
    // SAFETY: the helper reads `neighbour`, whose size it is given.
    let result = unsafe {
        bpf_redirect_neigh(ifindex, &raw mut neighbour, size_of::<Neighbour>() as i32, 0)
    };
    Ok(result as i32)
}
