//! Sending a packet to a route's next hop.

use aya_ebpf::{
    bindings::{
        TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh as Neighbour,
        bpf_redir_neigh__bindgen_ty_1 as NeighbourAddress,
    },
    helpers::bpf_redirect_neigh,
    programs::TcContext,
};
use netpath_common::{
    Address, MARK_REDIRECTED, Packet, Tables as _,
    decide::{self, Work},
};

use crate::{act::RewriteFailed, tables::Maps};

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// `skb->tc_index` of a packet that the neighbour table sends, for the first and the second time.
/// No queueing discipline of Linux uses the values; a pod that writes them by programs of its own
/// only keeps the neighbour it chose.
const SENT: u32 = 0x6e70;
const SENT_AGAIN: u32 = 0x6e71;

/// `skb->tc_index` of a packet that a program hands to a parent to send: decided on and counted.
const FORWARDED: u32 = 0x6e72;

/// Notes that the parent's egress has nothing to decide any more.
#[inline(always)]
pub(crate) fn mark_forwarded(ctx: &TcContext) {
    // SAFETY: TC programs may write the field.
    unsafe { (*ctx.skb.skb).tc_index = FORWARDED };
}

/// What a packet at a parent's egress is marked with, be it by its sender.
#[derive(Clone, Copy)]
pub(crate) struct Sent(u32);

impl Sent {
    /// Reads the mark.
    #[inline(always)]
    pub(crate) fn of(ctx: &TcContext) -> Self {
        // SAFETY: TC programs may read the field.
        Self(unsafe { (*ctx.skb.skb).tc_index })
    }

    /// Whether nothing is left to decide, if it came by a device. What came by none may be so by its sender,
    /// and is decided on again.
    #[inline(always)]
    pub(crate) const fn is_handed_over(self) -> bool {
        self.0 == FORWARDED
    }

    /// Whether the neighbour table has written its header. A child that says so by itself may leave its own
    /// Ethernet address out: that its addresses are its own is told by its socket.
    #[inline(always)]
    pub(crate) const fn is_again(self) -> bool {
        self.0.wrapping_sub(SENT) <= FORWARDED - SENT
    }
}

/// Takes the mark off, and that of [`forward`], if it was one.
#[inline(always)]
pub(crate) fn unmark(ctx: &TcContext) {
    // SAFETY: TC programs may write the field.
    unsafe { (*ctx.skb.skb).tc_index = 0 };
    ctx.set_mark(0);
}

/// Has the host's neighbour table send a packet by a parent: to whom the parent's own table says, which
/// spares the search of the host's, else to whom the host's routes say. Its mark keeps it from the routes
/// to endpoints: IPv6 would take one although it leads elsewhere.
#[inline(always)]
pub(crate) fn forward(ctx: &TcContext, packet: &Packet, parent: u32) -> i32 {
    mark_forwarded(ctx);
    ctx.set_mark(MARK_REDIRECTED);
    if let Some(known) = Maps.parent(parent)
        && let Some(next_hop) = known.next_hop(&packet.destination)
    {
        return to(&next_hop, parent);
    }
    // SAFETY: without a neighbour the helper looks one up.
    unsafe { bpf_redirect_neigh(parent, core::ptr::null_mut(), 0, 0) as i32 }
}

/// Has the host's neighbour table send a packet to a route's next hop on a parent. What came by a
/// device has no route of its own yet that it could leave by instead.
#[inline(always)]
pub(crate) fn forward_to(
    ctx: &TcContext,
    packet: &Packet,
    parent: u32,
) -> Result<i32, RewriteFailed> {
    hand_over(ctx, packet, parent, FORWARDED)
}

/// Sends a packet that has been translated to a route's next hop on a parent. It is not sent twice: the
/// neighbour that its sender chose is right for what it was before.
#[inline(always)]
pub(crate) fn straight(ctx: &TcContext, work: &Work, parent: u32) -> i32 {
    let Some(address) = decide::next_hop_onward(&Maps, work) else { return TC_ACT_SHOT };
    mark_forwarded(ctx);
    to(&address, parent)
}

/// Goes on with a packet of [`send`]: the neighbour table hands it to the parent as any other
/// packet, so that it crosses TC egress again. `None` for all other packets.
///
/// It is sent twice. A packet that has waited for the next hop's Ethernet address leaves by the
/// route it had before (`neigh_update` looks up the neighbour of the skb's dst), to the neighbour
/// that the pod chose; the second time nothing has to wait.
#[inline(always)]
pub(crate) fn resume(ctx: &TcContext, packet: &Packet, ifindex: u32) -> Option<i32> {
    // SAFETY: TC programs may read the field.
    match unsafe { (*ctx.skb.skb).tc_index } {
        SENT => Some(hand_over(ctx, packet, ifindex, SENT_AGAIN).unwrap_or(TC_ACT_SHOT)),
        SENT_AGAIN => {
            // SAFETY: TC programs may write the field.
            unsafe { (*ctx.skb.skb).tc_index = 0 };
            Some(TC_ACT_UNSPEC)
        }
        _ => None,
    }
}

/// Has the host's neighbour table find the next hop's Ethernet address and send the packet on the
/// same parent.
#[inline(always)]
pub(crate) fn send(ctx: &TcContext, packet: &Packet, ifindex: u32) -> Result<i32, RewriteFailed> {
    hand_over(ctx, packet, ifindex, SENT)
}

#[inline(never)]
fn hand_over(
    ctx: &TcContext,
    packet: &Packet,
    ifindex: u32,
    index: u32,
) -> Result<i32, RewriteFailed> {
    let address = decide::next_hop(&Maps, packet).ok_or(RewriteFailed)?;
    // SAFETY: TC programs may write the field.
    unsafe { (*ctx.skb.skb).tc_index = index };
    Ok(to(&address, ifindex))
}

/// Has the neighbour table find an Ethernet address, and send the packet there.
#[inline(always)]
fn to(address: &Address, ifindex: u32) -> i32 {
    let words = address.to_words();
    let mut neighbour = Neighbour {
        nh_family: if address.is_v4() { AF_INET } else { AF_INET6 },
        __bindgen_anon_1: NeighbourAddress { ipv6_nh: words },
    };
    if address.is_v4() {
        neighbour.__bindgen_anon_1.ipv4_nh = words[3];
    }
    // SAFETY: the helper reads `neighbour`, whose size it is given.
    let result = unsafe {
        bpf_redirect_neigh(ifindex, &raw mut neighbour, size_of::<Neighbour>() as i32, 0)
    };
    result as i32
}
