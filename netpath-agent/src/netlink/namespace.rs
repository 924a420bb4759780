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
use tokio::sync::{Semaphore, oneshot};

use super::{Error, Netlink};

/// The file that stands for the calling thread's namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// The file that stands for the first thread's.
const HOME: &str = "/proc/self/ns/net";

/// Visits at the same time. More would only wait for each other inside the kernel (rtnl).
static VISITS: Semaphore = Semaphore::const_new(16);

/// An open network namespace, which lives at least as long as this value.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

/// A visit to a namespace: both connections are on the visit's own thread, which is inside.
#[derive(Debug)]
pub struct Visit {
    /// The namespace.
    pub namespace: Namespace,
    /// A connection where the visit comes from.
    pub home: Netlink,
    /// A connection where it went.
    pub there: Netlink,
}

impl Namespace {
    /// Opens the namespace that a file stands for: `/run/netns/NAME`, `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)
            .map_err(|source| Error::Namespace { path: path.to_owned(), source })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens the namespace of the process, which its first thread never leaves.
    pub fn home() -> Result<Self, Error> {
        Self::open(Path::new(HOME))
    }

    /// Opens the namespace of the calling thread.
    pub fn own() -> Result<Self, Error> {
        Self::open(Path::new(OWN))
    }

    /// Whether this is the namespace of the calling thread.
    pub fn is_own(&self) -> Result<bool, Error> {
        let of = |namespace: &Self| {
            let metadata = namespace.file.metadata().map_err(|source| self.error(source))?;
            Ok((metadata.dev(), metadata.ino()))
        };
        Ok(of(self)? == of(&Self::own()?)?)
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
        if self.is_own()? {
            return Ok(function());
        }
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                Ok(function())
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(|source| self.error(source))
    }

    /// Does longer work inside the namespace, on a thread and a runtime of its own.
    ///
    /// The kernel answers a netlink request while it is being sent, and one that changes something
    /// waits for the machine's one lock (rtnl), grace periods included. Only the visit's own thread
    /// waits with it.
    pub async fn visit<T, F>(self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Visit) -> T + Send + 'static,
    {
        // Never closed.
        let _place = VISITS.acquire().await;
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        thread::Builder::new()
            .spawn(move || drop(reply.send(self.go(work))))
            .map_err(|source| Error::Namespace { path: path.clone(), source })?;
        answer.await.unwrap_or_else(|_| {
            Err(Error::Namespace { path, source: io::Error::other("the visit broke off") })
        })
    }

    fn go<T>(self, work: impl AsyncFnOnce(Visit) -> T) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| self.error(source))?;
        runtime.block_on(async move {
            let home = Netlink::connect()?;
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| self.error(errno.into()))?;
            let there = Netlink::connect()?;
            Ok(work(Visit { namespace: self, home, there }).await)
        })
    }

    /// The descriptor, valid while `self` lives.
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Namespace { path: self.path.clone(), source }
    }
}
