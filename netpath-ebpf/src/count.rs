//! Counting verdicts.

use netpath_common::{Counter, Hook, Verdict, endpoint::NO_SLOT};

use crate::maps::{COUNTERS, ENDPOINT_COUNTERS};

/// Counts a packet of `bytes` bytes under its verdict, and with the endpoints that it names.
#[inline(always)]
pub(crate) fn verdict(verdict: &Verdict, ifindex: u32, hook: Hook, bytes: u64) {
    count(verdict.word(ifindex, hook), bytes);
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

/// Counts in the first line of the key, where it nearly always is.
#[inline(always)]
fn count(key: u64, bytes: u64) {
    let line = Counter::line(key);
    if !add(line, key, bytes) {
        netpath_count(line, key, bytes);
    }
}

/// Counts in the next line that is the key's, or free.
///
/// A global function, of numbers only: the verifier looks at its loop once, on its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_count(line: u32, key: u64, bytes: u64) -> u32 {
    for distance in 0..Counter::REACH {
        let line = (line + distance) & (Counter::LINES - 1);
        if claim(line, key) {
            add(line, key, bytes);
            return 1;
        }
    }
    0
}

/// Makes a free line the key's; whether it is.
#[inline(always)]
fn claim(line: u32, key: u64) -> bool {
    let Some(counter) = COUNTERS.get_ptr_mut(line) else { return false };
    let word = counter.cast::<u64>();
    // SAFETY: this CPU's own value of a per-CPU array, which begins with its key; TC programs do not
    // interrupt each other on a CPU.
    let found = unsafe { word.read() };
    if found == 0 {
        // SAFETY: as above.
        unsafe { word.write(key) };
    }
    found == 0 || found == key
}

/// Counts in a line, if it is the key's.
#[inline(always)]
fn add(line: u32, key: u64, bytes: u64) -> bool {
    let Some(counter) = COUNTERS.get_ptr_mut(line) else { return false };
    // SAFETY: as in `claim`.
    if unsafe { counter.cast::<u64>().read() } != key {
        return false;
    }
    // SAFETY: as in `claim`.
    let counter = unsafe { &mut *counter };
    counter.packets += 1;
    counter.bytes += bytes;
    true
}
