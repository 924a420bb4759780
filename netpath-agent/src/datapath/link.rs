//! Pinned links of cgroups. aya neither updates these nor tells which cgroup they are of.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    ptr,
};

use nix::{errno::Errno, libc};

/// `enum bpf_cmd` of `linux/bpf.h`.
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_UPDATE: libc::c_int = 29;

/// What `union bpf_attr` has for each.
#[repr(C)]
struct Get {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

#[repr(C)]
struct Update {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// The kernel's facts of a link (`struct bpf_link_info`) of a cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Info {
    kind: u32,
    /// Its number.
    pub(super) id: u32,
    /// The number of its program.
    pub(super) program: u32,
    _pad: u32,
    /// The number of its cgroup; 0 if that is gone.
    pub(super) cgroup: u64,
    attach_type: u32,
    _end: u32,
}

/// A link that is pinned.
#[derive(Debug)]
pub(super) struct CgroupLink(OwnedFd);

impl CgroupLink {
    /// Opens the link of a pin.
    pub(super) fn from_pin(pin: &Path) -> io::Result<Self> {
        let path = CString::new(pin.as_os_str().as_bytes())?;
        let mut request = Get { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
        let descriptor = bpf(BPF_OBJ_GET, &mut request)?;
        // SAFETY: the kernel has just made it, for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// The kernel's facts.
    pub(super) fn info(&self) -> io::Result<Info> {
        let mut info = Info::default();
        let mut request = GetInfo {
            bpf_fd: number(&self.0),
            info_len: u32::try_from(size_of::<Info>()).unwrap_or(0),
            info: ptr::from_mut(&mut info) as u64,
        };
        bpf(BPF_OBJ_GET_INFO_BY_FD, &mut request)?;
        Ok(info)
    }

    /// Gives the link another program in one step.
    pub(super) fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let (link_fd, new_prog_fd) = (number(&self.0), number(&program));
        let mut request = Update { link_fd, new_prog_fd, flags: 0, old_prog_fd: 0 };
        bpf(BPF_LINK_UPDATE, &mut request).map(drop)
    }
}

fn number(descriptor: &impl AsRawFd) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

/// One of the commands above, with its own request.
fn bpf<T>(command: libc::c_int, request: &mut T) -> io::Result<i32> {
    // SAFETY: the request is what the command expects; what its pointers lead to outlives the call.
    let result = Errno::result(unsafe {
        libc::syscall(libc::SYS_bpf, command, ptr::from_mut(request), size_of::<T>())
    })?;
    Ok(i32::try_from(result).unwrap_or(-1))
}
