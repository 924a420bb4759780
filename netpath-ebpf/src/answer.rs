//! Turning a question into its answer.

use aya_ebpf::{helpers::bpf_skb_change_tail, programs::TcContext};
use netpath_common::{
    Kind, Packet,
    address::MacWord,
    neighbour::{self, ADVERTISEMENT_LEN, Question},
};

use crate::{
    act::{self, RewriteFailed},
    parse::ETH,
};

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
    // From itself, as everything that is redirected to a parent; the answer is in the message.
    act::address(ctx, packet.source_mac, packet.source_mac)
}
