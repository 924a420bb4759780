//! A program that does nothing: what a test run costs by itself.
//!
//! Two instructions, loaded by hand: aya loads objects only.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use nix::libc;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const SCHED_CLS: u32 = 3;

/// `r0 = -1` (`TC_ACT_UNSPEC`), `exit`.
const PROGRAM: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];
const LICENSE: &[u8; 4] = b"GPL\0";

/// The fields of `union bpf_attr` that loading takes, and room for the rest.
#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 16],
}

/// The fields of `union bpf_attr` that a test run takes and gives.
#[repr(C)]
struct Run {
    program: u32,
    result: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    rest: [u64; 8],
}

/// Nanoseconds of a run: the least of several means.
pub(super) fn measure(runs: u32, rounds: usize) -> Result<u128> {
    let program = load().context("load the empty program")?;
    let frame = [0_u8; 64];
    let mut least = u32::MAX;
    for _ in 0..rounds {
        let mut run = Run {
            program: u32::try_from(program.as_raw_fd())?,
            result: 0,
            size_in: u32::try_from(frame.len())?,
            size_out: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat: runs,
            duration: 0,
            rest: [0; 8],
        };
        bpf(BPF_PROG_TEST_RUN, &mut run).context("run the empty program")?;
        least = least.min(run.duration);
    }
    Ok(least.into())
}

fn load() -> io::Result<OwnedFd> {
    let mut load = Load {
        program_type: SCHED_CLS,
        instruction_count: u32::try_from(PROGRAM.len()).unwrap_or_default(),
        instructions: PROGRAM.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        rest: [0; 16],
    };
    let fd = bpf(BPF_PROG_LOAD, &mut load)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the structures are laid out as `union bpf_attr`, zero beyond their fields, and what
    // they point to outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(io::Error::other)
}
