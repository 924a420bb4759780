//! Looking at the file that should be a container's network namespace.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use nix::{errno::Errno, net::if_::if_nametoindex, sched::CloneFlags};

use super::{Error, config};
use crate::netlink::Namespace;

mod request {
    // `NS_GET_NSTYPE` of linux/nsfs.h (Linux 4.11).
    nix::ioctl_none_bad!(kind, nix::request_code_none!(0xb7, 0x3));
}

/// The namespace of this process.
const OWN: &str = "/proc/thread-self/ns/net";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A network namespace other than our own.
    Namespace,
    /// Our own: the node's.
    Own,
    /// Something else.
    Other,
    /// Nothing.
    Nothing,
}

/// Looks at a path.
pub(super) fn look(path: &Path) -> Result<Found, Error> {
    inspect(path).map_err(|source| Error::Io {
        action: format!("look at network namespace {}", config::shorten(&path.to_string_lossy())),
        source,
    })
}

fn inspect(path: &Path) -> io::Result<Found> {
    let own = fs::metadata(OWN)?;
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
                Errno::ENOENT => Ok(Found::Nothing),
                Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::ELOOP => Ok(Found::Other),
                _ => Err(error),
            };
        }
    };
    // All namespaces are files of one file system. Nothing else is opened: to open a device or a
    // pipe has consequences.
    if metadata.dev() != own.dev() {
        return Ok(Found::Other);
    }
    if metadata.ino() == own.ino() {
        return Ok(Found::Own);
    }
    let file = File::open(path)?;
    // SAFETY: the request takes no argument and the descriptor lives as long as `file`.
    let kind = unsafe { request::kind(file.as_raw_fd()) }?;
    Ok(if kind == CloneFlags::CLONE_NEWNET.bits() { Found::Namespace } else { Found::Other })
}

/// Whether a namespace has an interface of a name.
pub(super) fn has_interface(path: &Path, name: &str) -> Result<bool, Error> {
    let failed = |source| Error::Io {
        action: format!("look for interface {name} in {}", path.display()),
        source,
    };
    let namespace = Namespace::open(path).map_err(|error| failed(io::Error::other(error)))?;
    let index =
        namespace.run(|| if_nametoindex(name)).map_err(|error| failed(io::Error::other(error)))?;
    match index {
        Ok(_) => Ok(true),
        Err(Errno::ENODEV) => Ok(false),
        Err(errno) => Err(failed(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_networks_are_taken() {
        let pid = std::process::id();
        for (path, expected) in [
            (format!("/proc/{pid}/ns/net"), Found::Own),
            (format!("/proc/{pid}/ns/pid"), Found::Other),
            ("/".to_owned(), Found::Other),
            ("/dev/null".to_owned(), Found::Other),
            ("/dev/null/net".to_owned(), Found::Other),
            (format!("/{}", "a".repeat(300)), Found::Other),
            ("/nothing/is/here".to_owned(), Found::Nothing),
        ] {
            assert_eq!(look(Path::new(&path)).expect(&path), expected, "{path}");
        }
    }
}
