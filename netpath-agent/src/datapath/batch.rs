//! Reading whole hash maps, many entries a call (`BPF_MAP_LOOKUP_BATCH`, Linux 5.6): aya reads them
//! one by one, which takes two calls an entry.

use std::{
    os::fd::{AsFd as _, AsRawFd as _},
    ptr,
};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, MapError},
    sys::SyscallError,
};
use nix::{errno::Errno, libc};

/// `enum bpf_cmd` of `linux/bpf.h`.
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;

/// Entries that the first call asks for; more where a hash bucket alone has more. Few enough that
/// memory for them is at hand.
const BATCH: usize = 256;

/// The kernel's place between two calls: the number of a hash bucket.
type Position = u32;

/// What `union bpf_attr` has for batches. Sizes are in entries.
#[repr(C)]
#[derive(Debug)]
struct Request {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// All entries of a hash map. What is written meanwhile may be among them or not.
pub(super) fn entries<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
) -> Result<Vec<(K, V)>, MapError> {
    let mut entries = Vec::new();
    each(map, |key, value| entries.push((key, value)))?;
    Ok(entries)
}

/// Shows all entries of a hash map, the same way.
pub(super) fn each<K: Pod, V: Pod>(
    map: &HashMap<MapData, K, V>,
    mut show: impl FnMut(K, V),
) -> Result<(), MapError> {
    let descriptor = map.map().fd().as_fd().as_raw_fd();
    let mut batch = BATCH;
    let mut keys = Vec::<K>::with_capacity(batch);
    let mut values = Vec::<V>::with_capacity(batch);
    let mut position: Option<Position> = None;
    loop {
        let mut next: Position = 0;
        let mut request = Request {
            in_batch: position.as_ref().map_or(0, |position| ptr::from_ref(position) as u64),
            out_batch: ptr::from_mut(&mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(batch).unwrap_or(u32::MAX),
            map_fd: descriptor.cast_unsigned(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the request is what the command expects, and its pointers lead to `batch` keys and
        // values of the map's own sizes, and to two positions, all of which outlive the call.
        let called = Errno::result(unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                ptr::from_mut(&mut request),
                size_of::<Request>(),
            )
        });
        let end = match called {
            Ok(_) => false,
            // The last entries came with it.
            Err(Errno::ENOENT) => true,
            Err(Errno::ENOSPC) => {
                batch *= 2;
                keys.reserve(batch);
                values.reserve(batch);
                continue;
            }
            Err(errno) => return Err(failed(errno)),
        };
        let count = usize::try_from(request.count).unwrap_or(usize::MAX).min(batch);
        // SAFETY: the kernel has written that many, and any bytes are a key: it is `Pod`.
        unsafe { keys.set_len(count) };
        // SAFETY: the same with values.
        unsafe { values.set_len(count) };
        keys.drain(..).zip(values.drain(..)).for_each(|(key, value)| show(key, value));
        if end {
            return Ok(());
        }
        position = Some(next);
    }
}

fn failed(errno: Errno) -> MapError {
    SyscallError { call: "bpf_map_lookup_batch", io_error: errno.into() }.into()
}
