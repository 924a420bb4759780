//! The programs: parse, ask the decision, act, count.
//!
//! | file | part |
//! | --- | --- |
//! | `maps` | the tables in the kernel, under the names that bpftool shows |
//! | `tables`, `untranslated` | the decision's view of them, with Services and without |
//! | `parse` | from a frame to a packet: frequent packets in line |
//! | `headers` | from a frame to a packet: everything else |
//! | `act` | rewrite and redirect |
//! | `answer` | ARP replies and neighbour advertisements |
//! | `namespace` | whose socket sent a packet |
//! | `next_hop` | routes with a next hop |
//! | `count` | counters |
//! | `services` | the choice of a backend's view of the maps |
//! | `socket`, `call` | Services at sockets, and the system calls there |
//! | `flows` | remembering what the host stack forwarded |
//! | `translate`, `rewrite` | packets to Services and from them |

#![no_std]
#![no_main]
// The pinned compiler builds core for this target anyway; inline assembly for BPF is as unstable.
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "helpers and registers are wider than what they carry"
)]
#![expect(clippy::needless_pass_by_value, reason = "the program macros hand the context over")]

mod act;
mod answer;
mod call;
mod count;
mod flows;
mod headers;
mod maps;
mod namespace;
mod next_hop;
mod parse;
mod rewrite;
mod services;
mod socket;
mod tables;
mod translate;
mod untranslated;

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use netpath_common::{
    Action, Hook, MARK_REDIRECTED, Packet, Reason, Tables, Verdict,
    decide::{self, Origin},
};

use crate::{next_hop::Sent, tables::Maps, untranslated::Untranslated};

/// The TC programs, each twice: with Services and without.
macro_rules! programs {
    ($($body:ident: $plain:ident, $services:ident;)+) => {$(
        #[classifier]
        fn $plain(ctx: TcContext) -> i32 {
            $body(&ctx, &Untranslated)
        }

        #[classifier]
        fn $services(ctx: TcContext) -> i32 {
            $body(&ctx, &Maps)
        }
    )+};
}

programs! {
    egress: netpath_egress, netpath_egress_services;
    ingress: netpath_ingress, netpath_ingress_services;
    from_endpoint: netpath_from_endpoint, netpath_from_endpoint_services;
    to_endpoint: netpath_to_endpoint, netpath_to_endpoint_services;
}

/// TC egress of a parent.
#[inline(always)]
fn egress<T: Tables>(ctx: &TcContext, tables: &T) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the kernel hands every program a valid context.
    let ifindex = unsafe { (*skb).ifindex };
    // SAFETY: as above.
    let ingress = unsafe { (*skb).ingress_ifindex };
    let forwarded = ingress != 0;
    if forwarded && Sent::of(ctx).is_handed_over() {
        next_hop::unmark(ctx);
        return TC_ACT_UNSPEC;
    }
    let mut packet = MaybeUninit::uninit();
    let packet = parse::tc(ctx, &mut packet);
    let origin = Origin { ifindex, forwarded, namespace: namespace::of(skb) };
    let verdict = decide::egress(tables, packet, origin, || Sent::of(ctx).is_again());
    // Counted when it came by first.
    if verdict.action == Action::NextHop
        && let Some(result) = next_hop::resume(ctx, packet, ifindex)
    {
        return result;
    }
    if T::TRANSLATES && verdict.action == Action::Pass && Sent::of(ctx).is_handed_over() {
        next_hop::unmark(ctx);
        return TC_ACT_UNSPEC;
    }
    if verdict.record {
        flows::record(packet);
    }
    finish::<T>(ctx, packet, &verdict, ifindex, Hook::Egress)
}

/// TC ingress of a parent, before its rx_handler.
#[inline(always)]
fn ingress<T: Tables>(ctx: &TcContext, tables: &T) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the kernel hands every program a valid context.
    let ifindex = unsafe { (*skb).ifindex };
    // SAFETY: as above.
    let mark = unsafe { (*skb).mark };
    if mark == MARK_REDIRECTED {
        // Our own redirect: decided on and counted already. The stack and the pod see no mark.
        ctx.set_mark(0);
        return TC_ACT_UNSPEC;
    }
    let mut packet = MaybeUninit::uninit();
    let packet = parse::tc(ctx, &mut packet);
    // Only the driver hands over what still belongs to a socket.
    let by_driver = packet.source_mac == packet.destination_mac;
    let namespace = if by_driver { namespace::of(skb) } else { 0 };
    let verdict = decide::ingress(tables, packet, ifindex, namespace);
    finish::<T>(ctx, packet, &verdict, ifindex, Hook::Ingress)
}

/// TC ingress of an endpoint's device: what the endpoint sends.
#[inline(always)]
fn from_endpoint<T: Tables>(ctx: &TcContext, tables: &T) -> i32 {
    // SAFETY: the kernel hands every program a valid context.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let mut packet = MaybeUninit::uninit();
    let packet = parse::tc(ctx, &mut packet);
    let (verdict, parent) = decide::from_endpoint(tables, packet, ifindex);
    finish::<T>(ctx, packet, &verdict, parent, Hook::FromEndpoint)
}

/// TC egress of an endpoint's device: what the host stack sends to it.
#[inline(always)]
fn to_endpoint<T: Tables>(ctx: &TcContext, tables: &T) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the kernel hands every program a valid context.
    let ifindex = unsafe { (*skb).ifindex };
    // SAFETY: as above.
    let ingress = unsafe { (*skb).ingress_ifindex };
    // SAFETY: as above.
    let mark = unsafe { (*skb).mark };
    if mark == MARK_REDIRECTED {
        // Our own redirect, as at ingress of a parent.
        ctx.set_mark(0);
        return TC_ACT_UNSPEC;
    }
    let mut packet = MaybeUninit::uninit();
    let packet = parse::tc(ctx, &mut packet);
    let origin = Origin { ifindex, forwarded: ingress != 0, namespace: 0 };
    let (verdict, parent) = decide::to_endpoint(tables, packet, origin);
    if verdict.record {
        flows::record(packet);
    }
    finish::<T>(ctx, packet, &verdict, parent, Hook::ToEndpoint)
}

/// TC ingress of the loopback device, while packets of endpoints in an L3 mode are translated.
#[classifier]
fn netpath_loopback(ctx: TcContext) -> i32 {
    let mut packet = MaybeUninit::uninit();
    let packet = parse::tc(&ctx, &mut packet);
    let Some((verdict, parent)) = decide::loopback(&Maps, packet) else { return TC_ACT_UNSPEC };
    let slots = u64::from(verdict.sender) << 32 | u64::from(verdict.receiver);
    translate::run(&ctx, packet, slots, parent, Hook::Loopback)
}

/// Carries out a verdict and counts it: the return value of a TC program.
#[inline(always)]
fn finish<T: Tables>(
    ctx: &TcContext,
    packet: &Packet,
    verdict: &Verdict,
    parent: u32,
    hook: Hook,
) -> i32 {
    if T::TRANSLATES && verdict.action == Action::Translate {
        let slots = u64::from(verdict.sender) << 32 | u64::from(verdict.receiver);
        return translate::run(ctx, packet, slots, parent, hook);
    }
    // The length before an answer may have changed it.
    let bytes = u64::from(ctx.len());
    if let Ok(result) = act::carry_out(ctx, packet, verdict, Some(hook)) {
        count::verdict(verdict, parent, hook, bytes);
        result
    } else {
        count::verdict(&Verdict::drop(Reason::RewriteFailed), parent, hook, bytes);
        TC_ACT_SHOT
    }
}

/// XDP of a parent: what must not come in, dropped before an skb exists.
#[xdp]
fn netpath_xdp(ctx: XdpContext) -> u32 {
    // SAFETY: the kernel hands every program a valid context.
    let ifindex = unsafe { (*ctx.ctx).ingress_ifindex };
    let mut packet = MaybeUninit::uninit();
    let packet = parse::xdp(&ctx, &mut packet);
    let Some(reason) = decide::wire(&Maps, packet, ifindex) else {
        return xdp_action::XDP_PASS;
    };
    let bytes = parse::Linear::of_xdp(&ctx).length() as u64;
    count::verdict(&Verdict::drop(reason), ifindex, Hook::Xdp, bytes);
    xdp_action::XDP_DROP
}

/// The license that the kernel reads: helpers such as `bpf_redirect` ask for GPL compatibility.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic: a panic would fail to link, or be refused by the verifier.
    loop {}
}
