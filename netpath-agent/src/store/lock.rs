//! One agent per state directory.

use std::{
    fs::{self, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// The name of the lock below the state directory.
pub(super) const FILE: &str = "lock";

/// The right to act on a node. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock of a state directory, which is created if it is not there.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let error = |source| Error::Directory { path: directory.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(error)?;
        let file = File::create(directory.join(FILE)).map_err(error)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { directory: directory.to_owned(), _file: file }),
            Err((_, nix::Error::EWOULDBLOCK)) => Err(Error::Locked { path: directory.to_owned() }),
            Err((_, errno)) => Err(error(errno.into())),
        }
    }

    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
