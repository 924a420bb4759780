//! Other network namespaces.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, RawFd},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::{Error, Netlink};

/// The file that stands for the calling thread's namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace, which lives at least as long as this value.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

impl Namespace {
    /// Opens the namespace that a file stands for: `/run/netns/NAME`, `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)
            .map_err(|source| Error::Namespace { path: path.to_owned(), source })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Whether this is the namespace of the calling thread.
    pub fn is_own(&self) -> Result<bool, Error> {
        let of = |namespace: &Self| {
            let metadata = namespace.file.metadata().map_err(|source| self.error(source))?;
            Ok((metadata.dev(), metadata.ino()))
        };
        Ok(of(self)? == of(&Self::own()?)?)
    }

    /// The namespace that the calling thread is in.
    pub fn own() -> Result<Self, Error> {
        Self::open(Path::new(OWN))
    }

    /// Its number, unique on the machine while it exists: `ns.inum` of the kernel's `struct net`,
    /// which is the inode that `stat` shows.
    pub fn number(&self) -> Result<u32, Error> {
        let inode = self.file.metadata().map_err(|source| self.error(source))?.ino();
        u32::try_from(inode).map_err(|source| self.error(io::Error::other(source)))
    }

    /// Runs a function inside the namespace.
    ///
    /// It runs on a thread of its own that ends with it, so that no thread of the runtime is ever
    /// left in the wrong namespace.
    pub fn run<T: Send>(&self, function: impl FnOnce() -> T + Send) -> Result<T, Error> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                Ok(function())
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(|source| self.error(source))
    }

    /// Connects to the kernel inside the namespace: a socket stays where it was opened.
    pub fn connect(&self) -> Result<Netlink, Error> {
        let runtime = tokio::runtime::Handle::current();
        self.run(move || {
            let _entered = runtime.enter();
            Netlink::connect()
        })?
    }

    /// The descriptor, valid while `self` lives.
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Namespace { path: self.path.clone(), source }
    }
}
