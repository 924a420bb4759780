//! Carrying out a verdict: rewrite the Ethernet header and redirect.

use aya_ebpf::{
    bindings::{BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::{bpf_redirect, bpf_redirect_peer},
    programs::TcContext,
};
use netpath_common::{
    Action, Hook, MARK_REDIRECTED, Packet, Verdict, endpoint::DEVICE_MAC, mac::MacWord,
};

use crate::{answer, next_hop};

/// A helper refused to change the packet.
pub(crate) struct RewriteFailed;

/// Rewrites the packet and says where it goes on: the return value of a TC program. Without a hook, of
/// what has been translated: it is no answer of ours, nor goes by a next hop here.
#[inline(always)]
pub(crate) fn carry_out(
    ctx: &TcContext,
    packet: &Packet,
    verdict: &Verdict,
    hook: Option<Hook>,
) -> Result<i32, RewriteFailed> {
    let mut flags = u64::from(BPF_F_INGRESS);
    match verdict.action {
        // Not TC_ACT_OK: the next program of the chain has its say as well.
        Action::Pass => return Ok(TC_ACT_UNSPEC),
        Action::Drop | Action::Translate => return Ok(TC_ACT_SHOT),
        Action::NextHop | Action::Answer | Action::Reply if hook.is_none() => {
            return Ok(TC_ACT_SHOT);
        }
        Action::NextHop if hook == Some(Hook::FromEndpoint) => {
            return next_hop::forward_to(ctx, packet, verdict.ifindex);
        }
        Action::NextHop => return next_hop::send(ctx, packet, verdict.ifindex),
        Action::Forward => return Ok(next_hop::forward(ctx, packet, verdict.ifindex)),
        Action::Peer => {
            address(ctx, verdict.mac, DEVICE_MAC.word())?;
            // SAFETY: the helper only notes where the packet goes when the program returns.
            return Ok(unsafe { bpf_redirect_peer(verdict.ifindex, 0) } as i32);
        }
        // Source and destination alike: no switch forwards such a frame, so that generic XDP can
        // tell it from the wire's.
        // Nearly all that ipvlan children and the node send each other has both already.
        Action::Receive
            if packet.destination_mac == verdict.mac && packet.source_mac == verdict.mac => {}
        Action::Receive => address(ctx, verdict.mac, verdict.mac)?,
        Action::Enter => address(ctx, verdict.mac, packet.source_mac)?,
        Action::Answer => answer::receive(ctx, packet, verdict.mac)?,
        Action::Reply => {
            answer::send(ctx, packet, verdict.mac)?;
            next_hop::mark_forwarded(ctx);
            // SAFETY: as above.
            return Ok(unsafe { bpf_redirect(verdict.ifindex, 0) } as i32);
        }
        Action::Send => {
            address(ctx, verdict.mac, DEVICE_MAC.word())?;
            flags = 0;
        }
    }
    // The kernel entry gets no mark: the pod may have set one, and ip rules and netfilter would act
    // on it.
    ctx.set_mark(if verdict.action == Action::Enter { 0 } else { MARK_REDIRECTED });
    // SAFETY: the helper only notes where the packet goes when the program returns.
    Ok(unsafe { bpf_redirect(verdict.ifindex, flags) } as i32)
}

/// Writes the Ethernet addresses. By helper, not by direct access: a program that writes packets
/// directly has every cloned skb (all that TCP sends) copied before it runs.
#[inline(always)]
pub(crate) fn address(
    ctx: &TcContext,
    destination: MacWord,
    source: MacWord,
) -> Result<(), RewriteFailed> {
    let header = MacWord::header(destination, source);
    ctx.store(0, &header, 0).map_err(|_| RewriteFailed)
}
