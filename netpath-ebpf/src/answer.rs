//! Turning a question into its answer.

use aya_ebpf::{helpers::bpf_skb_change_tail, programs::TcContext};
use netpath_common::{
    Kind, Packet,
    mac::MacWord,
    neighbour::{self, ADVERTISEMENT_LEN, Question},
};

use crate::{
    act::{self, RewriteFailed},
    parse::ETH,
};

/// Turns an ARP request or a neighbour solicitation into the answer, for a parent to receive: from the
/// asker itself, as everything that is redirected to one. What it wants to know is in the message.
#[inline(always)]
pub(crate) fn receive(ctx: &TcContext, packet: &Packet, mac: MacWord) -> Result<(), RewriteFailed> {
    write(ctx, packet, mac)?;
    act::address(ctx, packet.source_mac, packet.source_mac)
}

/// The same, to be sent by the parent whose address `mac` is.
#[inline(always)]
pub(crate) fn send(ctx: &TcContext, packet: &Packet, mac: MacWord) -> Result<(), RewriteFailed> {
    write(ctx, packet, mac)?;
    act::address(ctx, Question::of(packet).asker_mac.word(), mac)
}

#[inline(never)]
fn write(ctx: &TcContext, packet: &Packet, mac: MacWord) -> Result<(), RewriteFailed> {
    let question = Question::of(packet);
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
    Ok(())
}
