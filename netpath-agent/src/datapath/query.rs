//! What a tcx hook runs (`BPF_PROG_QUERY`, Linux 6.6). aya's query opens a socket to find the
//! interface by its name, and every program to ask for its facts: eight calls for one, and the hooks
//! are looked at all the time.

use std::{io, ptr};

use netpath_common::Hook;
use nix::{errno::Errno, libc};

/// `enum bpf_cmd` and `enum bpf_attach_type` of `linux/bpf.h`.
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;

/// The most that one hook runs (`BPF_MPROG_MAX`).
const PROGRAMS: u32 = 64;

/// What `union bpf_attr` has for this command.
#[repr(C)]
#[derive(Debug, Default)]
struct Request {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    _pad: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// The numbers of the programs at a TC hook of an interface, in their order.
pub(super) fn tcx(ifindex: u32, hook: Hook) -> io::Result<Vec<u32>> {
    let mut programs = vec![0_u32; PROGRAMS as usize];
    let attach_type = match hook {
        Hook::Egress | Hook::ToEndpoint => BPF_TCX_EGRESS,
        Hook::Ingress | Hook::FromEndpoint | Hook::Loopback | Hook::Xdp => BPF_TCX_INGRESS,
    };
    let mut request = Request {
        target_ifindex: ifindex,
        attach_type,
        prog_ids: programs.as_mut_ptr() as u64,
        count: PROGRAMS,
        ..Request::default()
    };
    // SAFETY: the request is what the command expects, and its only pointer leads to as many numbers
    // as it says; both outlive the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_QUERY,
            ptr::from_mut(&mut request),
            size_of::<Request>(),
        )
    })?;
    programs.truncate(usize::try_from(request.count).unwrap_or(0));
    Ok(programs)
}
