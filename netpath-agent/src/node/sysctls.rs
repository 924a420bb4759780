//! `/proc/sys`, which container runtimes mount read-only for all but privileged containers.

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::statvfs::{FsFlags, statvfs},
};

const PLACE: &str = "/proc/sys";

/// Makes it writable where it is a read-only mount. That changes the mounts of this process's own
/// container, and nobody else's. What can not be made writable may be right as it is: those who find
/// a value that is not say so.
pub(super) fn open() {
    match remount() {
        Ok(false) => {}
        Ok(true) => tracing::info!("{PLACE} was read-only in this container and is writable now"),
        Err(error) => tracing::warn!(
            %error,
            "{PLACE} is read-only; give the container CAP_SYS_ADMIN and no AppArmor profile"
        ),
    }
}

/// Whether something had to be done.
fn remount() -> Result<bool, Errno> {
    if !statvfs(PLACE)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(false);
    }
    let as_before = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | as_before;
    mount(None::<&str>, PLACE, None::<&str>, flags, None::<&str>)?;
    Ok(true)
}
