//! Remembering what the host stack forwarded, so that the answers come back through it.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use netpath_common::{Address, Flow, FlowKey, Packet, Tables as _, flow::GATE_FLOWS};

use crate::{
    maps::{ENDPOINT_FLOWS, FLOWS},
    tables::Maps,
};

/// How old the note of a flow may grow before a packet renews it, in nanoseconds.
const FRESH: u64 = 1_000_000_000;

/// Notes the answers to a packet.
#[inline(never)]
pub(crate) fn record(packet: &Packet) {
    let key = FlowKey::answering(packet);
    // SAFETY: a read of the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the value is one aligned word, read once.
    if let Some(flow) = unsafe { FLOWS.get(key) }
        && now.wrapping_sub(flow.seen) < FRESH
    {
        return;
    }
    // An LRU map makes room by itself.
    for key in [key, key.of_fragments()] {
        let _: Result<(), i32> = FLOWS.insert(key, Flow { seen: now }, 0);
    }
    open(&packet.source);
    open(&packet.destination);
}

/// From now on the endpoint's packets are looked up among the flows.
#[inline(always)]
fn open(address: &Address) {
    if let Some(endpoint) = Maps.endpoint(address)
        && let Some(flows) = ENDPOINT_FLOWS.get_ptr_mut(endpoint.slot)
    {
        // SAFETY: an aligned word of an array map, which never moves. Who adds another gate at the very
        // same time may win: the next packet that is recorded adds this one again.
        unsafe { *flows |= GATE_FLOWS };
    }
}
