//! Services: packets to them and from them.
//!
//! A global function, which takes the context and numbers only (before 5.13 there are no others): the
//! packet is in a map, since the stack is too small for all that it takes. The verifier looks at it once,
//! and ordinary packets pay nothing for it.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    programs::TcContext,
};
use netpath_common::{
    Affinity, AffinityKey, Connection, Connections, FlowKey, Hook, NotNoted, Packet, Reason,
    Verdict,
    decide::{Crossing, Translated, onward, translate},
    endpoint::NO_SLOT,
    flow::GATE_CONNECTIONS,
};

use crate::{
    maps::{AFFINITIES, CONNECTIONS, ENDPOINT_FLOWS, FRAGMENTS, NODE_FLOWS, TRANSLATION},
    parse::ETH,
    rewrite,
    tables::Maps,
};

/// `BPF_NOEXIST` of `linux/bpf.h`.
const NOEXIST: u64 = 1;
const EEXIST: i32 = -17;

const TCP: u8 = 6;

/// How long ago a direction must have been heard last to be renewed, in nanoseconds.
const FRESH: u64 = 1_000_000_000;

/// Translates a packet, and carries out what that leads to: the return value of a TC program.
#[inline(always)]
pub(crate) fn run(
    ctx: &TcContext,
    packet: &Packet,
    verdict: &Verdict,
    parent: u32,
    hook: Hook,
) -> i32 {
    let Some(work) = TRANSLATION.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own value of a per-CPU array; programs do not interrupt each other on a CPU.
    unsafe { (*work).packet = *packet };
    let slots = u64::from(verdict.sender) << 32 | u64::from(verdict.receiver);
    netpath_translate(ctx.skb.skb, hook as u32, parent, slots)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_translate(skb: *mut __sk_buff, hook: u32, ifindex: u32, slots: u64) -> i32 {
    let ctx = TcContext::new(skb);
    let Some(work) = TRANSLATION.get_ptr_mut(0) else { return 0 };
    // SAFETY: as in `run`.
    let work = unsafe { &mut *work };
    let hook = match hook {
        0 => Hook::Egress,
        1 => Hook::Ingress,
        3 => Hook::FromEndpoint,
        _ => Hook::ToEndpoint,
    };
    let (sender, receiver) = ((slots >> 32) as u32, slots as u32);
    let crossing = Crossing {
        hook,
        ifindex,
        sender,
        tcp: tcp(&ctx, &work.packet),
        fragment: fragment(&ctx, &work.packet),
        // SAFETY: a number.
        random: unsafe { bpf_get_prandom_u32() },
        // SAFETY: a read of the clock.
        now: unsafe { bpf_ktime_get_ns() },
    };
    let translated = translate(&Maps, work, &crossing);
    let verdict = match translated {
        Translated::Refused(reason) => Verdict::drop(reason),
        Translated::Unchanged => onward(&Maps, work, &crossing, false),
        Translated::Changed => match rewrite::packet(&ctx, work) {
            Ok(()) => onward(&Maps, work, &crossing, true),
            Err(rewrite::Failed) => Verdict::drop(Reason::RewriteFailed),
        },
    };
    let verdict = verdict.from(sender);
    let verdict = if receiver == NO_SLOT { verdict } else { verdict.to(receiver) };
    crate::finish(&ctx, &work.packet, &verdict, ifindex, hook)
}

/// What TCP says.
#[inline(always)]
fn tcp(ctx: &TcContext, packet: &Packet) -> u8 {
    if packet.protocol != TCP || packet.error || packet.transport == 0 {
        return 0;
    }
    ctx.load(usize::from(packet.transport) + 13).unwrap_or(0)
}

/// The number of the packet that a fragment is of. IPv6's is in the first extension header; where it is
/// not, the fragments are taken for those of one packet.
#[inline(always)]
fn fragment(ctx: &TcContext, packet: &Packet) -> u32 {
    if !packet.fragment {
        return 0;
    }
    if packet.source.is_v4() {
        return ctx.load::<u16>(ETH + 4).unwrap_or(0).into();
    }
    ctx.load(ETH + 40 + 4).unwrap_or(0)
}

impl Connections for Maps {
    #[inline(always)]
    fn note(&self, key: &FlowKey, connection: &Connection, replace: bool) -> Result<(), NotNoted> {
        match CONNECTIONS.insert(key, connection, if replace { 0 } else { NOEXIST }) {
            Ok(()) => Ok(()),
            Err(EEXIST) => Err(NotNoted::Taken),
            Err(_) => Err(NotNoted::Full),
        }
    }

    #[inline(always)]
    fn renew(&self, key: &FlowKey, flags: u32, now: u64) {
        let Some(known) = CONNECTIONS.get_ptr_mut(key) else { return };
        // SAFETY: the value stays until the grace period that the program runs in has ended. Others read
        // and write the two words as well, each of them whole; what another CPU adds to the flags at the
        // same time may be lost, and comes again or is forgotten later.
        let known = unsafe { &mut *known };
        if known.flags & flags != flags {
            known.flags |= flags;
        }
        if now.wrapping_sub(known.seen) > FRESH {
            known.seen = now;
        }
    }

    #[inline(always)]
    fn fragment(&self, key: &FlowKey) -> Option<[u16; 2]> {
        // SAFETY: one aligned word.
        unsafe { FRAGMENTS.get(key) }.copied()
    }

    #[inline(always)]
    fn note_fragment(&self, key: &FlowKey, ports: [u16; 2]) {
        // An LRU map makes room by itself.
        let _: Result<(), i32> = FRAGMENTS.insert(key, ports, 0);
    }

    #[inline(always)]
    fn forget(&self, key: &FlowKey) {
        let _: Result<(), i32> = CONNECTIONS.remove(key);
    }

    #[inline(always)]
    fn stay(&self, key: &AffinityKey, affinity: &Affinity) {
        let _: Result<(), i32> = AFFINITIES.insert(key, affinity, 0);
    }

    #[inline(always)]
    fn open(&self, slot: u32) {
        let gates = if slot == NO_SLOT {
            NODE_FLOWS.get_ptr_mut(0)
        } else {
            ENDPOINT_FLOWS.get_ptr_mut(slot)
        };
        if let Some(gates) = gates {
            // SAFETY: an aligned word of an array map, which never moves. A gate that is lost to another
            // CPU is opened again by the next connection.
            unsafe { *gates |= GATE_CONNECTIONS };
        }
    }
}
