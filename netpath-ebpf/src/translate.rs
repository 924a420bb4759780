//! Services: packets to them and from them.
//!
//! A global function, which takes the context and numbers only (before 5.13 there are no others): the
//! packet is in a map, since the stack is too small for all that it takes. The verifier looks at it once,
//! and ordinary packets pay nothing for it.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_SHOT},
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    programs::TcContext,
};
use netpath_common::{
    Action, Affinity, AffinityKey, Connection, Connections, FlowKey, Hook, NotNoted, Packet,
    Reason, Verdict,
    decide::{Crossing, Translated, Work, onward, translate},
    endpoint::NO_SLOT,
    flow::GATE_CONNECTIONS,
};

use crate::{
    act, count,
    maps::{AFFINITIES, CONNECTIONS, ENDPOINT_FLOWS, FRAGMENTS, NODE_FLOWS, TRANSLATION},
    next_hop,
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

/// What translating takes: the stack is too small for it.
#[repr(C)]
pub(crate) struct Desk {
    work: Work,
    crossing: Crossing,
}

/// Translates a packet, and carries out what that leads to: the return value of a TC program.
#[inline(never)]
pub(crate) fn run(ctx: &TcContext, packet: &Packet, slots: u64, parent: u32, hook: Hook) -> i32 {
    let Some(desk) = TRANSLATION.get_ptr_mut(0) else { return TC_ACT_SHOT };
    // SAFETY: this CPU's own value of a per-CPU array; programs do not interrupt each other on a CPU.
    let desk = unsafe { &mut *desk };
    desk.work.packet = *packet;
    desk.crossing.hook = hook;
    desk.crossing.ifindex = parent;
    desk.crossing.sender = (slots >> 32) as u32;
    netpath_translate(ctx.skb.skb, slots as u32)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_translate(skb: *mut __sk_buff, receiver: u32) -> i32 {
    let ctx = TcContext::new(skb);
    let Some(desk) = TRANSLATION.get_ptr_mut(0) else { return TC_ACT_SHOT };
    // SAFETY: as in `run`.
    let Desk { work, crossing } = unsafe { &mut *desk };
    crossing.tcp = tcp(&ctx, &work.packet);
    crossing.fragment = fragment(&ctx, &work.packet);
    // SAFETY: a number.
    crossing.random = unsafe { bpf_get_prandom_u32() };
    // SAFETY: a read of the clock.
    crossing.now = unsafe { bpf_ktime_get_ns() };
    let reason = match change(work, crossing) {
        Translated::Unchanged => return go_on(&ctx, work, crossing, receiver, false),
        Translated::Changed if rewrite::packet(&ctx, work).is_ok() => {
            return go_on(&ctx, work, crossing, receiver, true);
        }
        Translated::Changed => Reason::RewriteFailed,
        Translated::Refused(reason) => reason,
    };
    let verdict = Verdict::drop(reason).from(crossing.sender);
    count::verdict(&verdict, crossing.ifindex, crossing.hook, ctx.len().into());
    TC_ACT_SHOT
}

/// The one after the other, each with the stack to itself.
#[inline(never)]
fn change(work: &mut Work, crossing: &Crossing) -> Translated {
    translate(&Maps, work, crossing)
}

#[inline(never)]
fn go_on(ctx: &TcContext, work: &Work, crossing: &Crossing, receiver: u32, changed: bool) -> i32 {
    let verdict = onward(&Maps, work, crossing, changed).from(crossing.sender);
    let verdict = if receiver == NO_SLOT { verdict } else { verdict.to(receiver) };
    count::verdict(&verdict, crossing.ifindex, crossing.hook, ctx.len().into());
    if verdict.action == Action::NextHop {
        return next_hop::straight(ctx, work, crossing.ifindex);
    }
    act::carry_out(ctx, &work.packet, &verdict, None).unwrap_or(TC_ACT_SHOT)
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
