//! Counting verdicts.

use netpath_common::{Count, CounterKey, Hook, Verdict, endpoint::NO_SLOT};

use crate::maps::{COUNTERS, ENDPOINT_COUNTERS};

/// Counts a packet of `bytes` bytes under its verdict, and with the endpoints that it names.
#[inline(always)]
pub(crate) fn verdict(verdict: &Verdict, ifindex: u32, hook: Hook, bytes: u64) {
    let key = CounterKey {
        parent: ifindex,
        hook: hook as u8,
        path: verdict.path as u8,
        reason: verdict.reason as u16,
    };
    match COUNTERS.get_ptr_mut(key) {
        Some(count) => add(count, bytes),
        None => first(&key, bytes),
    }
    if verdict.sender != NO_SLOT
        && let Some(count) = ENDPOINT_COUNTERS.get_ptr_mut(verdict.sender)
    {
        // SAFETY: this CPU's own value of a per-CPU array; TC programs do not interrupt each other
        // on a CPU.
        let count = unsafe { &mut *count };
        count.tx_packets += 1;
        count.tx_bytes += bytes;
    }
    if verdict.receiver != NO_SLOT
        && let Some(count) = ENDPOINT_COUNTERS.get_ptr_mut(verdict.receiver)
    {
        // SAFETY: as above.
        let count = unsafe { &mut *count };
        count.rx_packets += 1;
        count.rx_bytes += bytes;
    }
}

#[inline(always)]
fn add(count: *mut Count, bytes: u64) {
    // SAFETY: this CPU's own value, which stays valid while the program runs.
    let count = unsafe { &mut *count };
    count.packets += 1;
    count.bytes += bytes;
}

/// The first packet of its kind makes the entry. The map holds every combination that a node's
/// parents can have: the agent sizes it.
#[inline(never)]
fn first(key: &CounterKey, bytes: u64) {
    // Another CPU may have made it in the meantime: BPF_NOEXIST keeps its count.
    let _: Result<(), i32> = COUNTERS.insert(key, Count::default(), 1);
    if let Some(count) = COUNTERS.get_ptr_mut(key) {
        add(count, bytes);
    }
}
