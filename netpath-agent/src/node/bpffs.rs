//! The bpf file system that maps and links are pinned in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::Error;

/// Where it is by custom.
const USUAL: &str = "/sys/fs/bpf";

/// Makes sure that `pins` lies in a bpf file system: mounts one if none is there, it may, and the mount
/// hides nothing.
pub(super) fn ensure(pins: &Path, may_mount: bool) -> Result<(), Error> {
    let existing = pins.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let place = mount_point(pins);
    let error = |source| Error::Bpffs { pins: pins.to_owned(), mount: place.clone(), source };
    if is_bpffs(existing).map_err(error)? {
        return Ok(());
    }
    if !may_mount {
        return Err(error(io::Error::other("agent.mount is false")));
    }
    fs::create_dir_all(&place).map_err(error)?;
    if fs::read_dir(&place).map_err(error)?.next().is_some() {
        return Err(error(io::ErrorKind::DirectoryNotEmpty.into()));
    }
    mount(Some("bpf"), &place, Some("bpf"), MsFlags::empty(), None::<&str>)
        .map_err(|errno| error(errno.into()))?;
    tracing::info!(path = %place.display(), "mounted a bpf file system");
    Ok(())
}

/// Whether a predecessor left its dataplane there, of whatever version.
pub(super) fn is_used(pins: &Path) -> bool {
    fs::read_dir(pins).is_ok_and(|mut entries| entries.next().is_some())
}

fn mount_point(pins: &Path) -> PathBuf {
    if pins.starts_with(USUAL) { USUAL.into() } else { pins.parent().unwrap_or(pins).to_owned() }
}

fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.filesystem_type() == BPF_FS_MAGIC)
}
