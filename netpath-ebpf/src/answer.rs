//! Turning a question into its answer, and finding the next hop's Ethernet address.

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LOOKUP_OUTPUT, bpf_fib_lookup as FibLookup,
        bpf_redir_neigh as Neighbour, bpf_redir_neigh__bindgen_ty_1 as NeighbourAddress,
    },
    helpers::{bpf_fib_lookup, bpf_redirect_neigh, bpf_skb_change_tail},
    programs::TcContext,
};
use netpath_common::{
    Kind, Mac, Packet,
    address::MacWord,
    decide,
    neighbour::{self, ADVERTISEMENT_LEN, Question},
};

use crate::{
    act::{self, RewriteFailed},
    parse::ETH,
    tables::Maps,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Turns an ARP request or a neighbour solicitation into the answer, sent by `mac`.
#[inline(never)]
pub(crate) fn write(ctx: &TcContext, packet: &Packet, mac: MacWord) -> Result<(), RewriteFailed> {
    let question = Question {
        target: packet.destination,
        asker: packet.source,
        asker_mac: packet.source_mac.into(),
    };
    if packet.kind == Kind::ArpRequest {
        let reply = neighbour::arp_reply(&question, mac.into());
        ctx.store(ETH, &reply, 0).map_err(|_| RewriteFailed)?;
    } else {
        let length = (ETH + ADVERTISEMENT_LEN) as u32;
        if ctx.len() != length {
            // A solicitation may have no option, or more than one.
            // SAFETY: the helper changes the length or fails.
            let result = unsafe { bpf_skb_change_tail(ctx.skb.skb, length, 0) };
            if result != 0 {
                return Err(RewriteFailed);
            }
        }
        let advertisement = neighbour::advertisement(&question, mac.into());
        ctx.store(ETH, &advertisement, 0).map_err(|_| RewriteFailed)?;
    }
    act::address(ctx, packet.source_mac, mac)
}

/// Sends the packet to a next hop on the parent's link. If the host knows its Ethernet address, the
/// packet only gets it; if not, the host's neighbour table asks and sends the packet, which then
/// comes by here again.
#[inline(never)]
pub(crate) fn next_hop(
    ctx: &TcContext,
    packet: &Packet,
    ifindex: u32,
) -> Result<i32, RewriteFailed> {
    let address = decide::next_hop(&Maps, packet).ok_or(RewriteFailed)?;
    let words = address.to_words();
    // SAFETY: plain integers, for which all zeroes is a value.
    let mut lookup: FibLookup = unsafe { core::mem::zeroed() };
    lookup.ifindex = ifindex;
    let v4 = address.is_v4();
    if v4 {
        lookup.family = AF_INET;
        lookup.__bindgen_anon_4.ipv4_dst = words[3];
    } else {
        lookup.family = AF_INET6;
        lookup.__bindgen_anon_4.ipv6_dst = words;
    }
    // SAFETY: the helper reads and writes `lookup`, whose size it is given.
    let result = unsafe {
        bpf_fib_lookup(
            ctx.skb.skb.cast(),
            &raw mut lookup,
            size_of::<FibLookup>() as i32,
            BPF_FIB_LOOKUP_OUTPUT,
        )
    };
    if result == i64::from(BPF_FIB_LKUP_RET_SUCCESS) && lookup.ifindex == ifindex {
        // SAFETY: on success the helper has filled both addresses in.
        act::address(ctx, Mac::new(lookup.dmac).word(), Mac::new(lookup.smac).word())?;
        return Ok(aya_ebpf::bindings::TC_ACT_UNSPEC);
    }
    let mut neighbour = Neighbour {
        nh_family: u32::from(if v4 { AF_INET } else { AF_INET6 }),
        __bindgen_anon_1: NeighbourAddress { ipv6_nh: words },
    };
    if v4 {
        neighbour.__bindgen_anon_1.ipv4_nh = words[3];
    }
    // SAFETY: the helper reads `neighbour`, whose size it is given.
    let result = unsafe {
        bpf_redirect_neigh(ifindex, &raw mut neighbour, size_of::<Neighbour>() as i32, 0)
    };
    Ok(result as i32)
}
