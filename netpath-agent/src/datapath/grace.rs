//! Waiting until no program reads what it could read before: a grace period of RCU.

use std::os::fd::OwnedFd;

use nix::{
    errno::Errno,
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

/// `enum membarrier_cmd` of `linux/membarrier.h`.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Waits until every program that runs now has ended.
pub(super) fn wait_for_programs() {
    // SAFETY: the command takes no pointers.
    let waited = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if Errno::result(waited).is_err() {
        // Not with `nohz_full=`. There, closing a packet socket waits for the same
        // (`synchronize_net` in `packet_release`).
        let open = || -> nix::Result<OwnedFd> {
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        };
        drop(open());
    }
}
