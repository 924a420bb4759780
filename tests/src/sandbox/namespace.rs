//! A network namespace with a name: made, entered and deleted.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    libc,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
};

use super::{
    cgroup::{self, Cgroup},
    command,
};

/// Where `ip netns` keeps names, and where the agent is told to find pods.
pub const NAMES: &str = "/run/netns";

/// A named network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    cgroup: Option<Cgroup>,
}

impl Namespace {
    /// Makes a namespace, as `ip netns add` does but without a process: those cost an emulated
    /// guest dear. A name already taken is an error.
    pub fn create(name: &str) -> Result<Self> {
        let path = Path::new(NAMES).join(name);
        fs::create_dir_all(NAMES).with_context(|| format!("make {NAMES}"))?;
        share_names().with_context(|| format!("share {NAMES}"))?;
        File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
        let bind = || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let own = Some("/proc/thread-self/ns/net");
            mount(own, &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            nix::Result::Ok(())
        };
        let made = thread::scope(|scope| scope.spawn(bind).join());
        let file = match made {
            Ok(Ok(())) => File::open(&path).with_context(|| format!("open {}", path.display())),
            Ok(Err(errno)) => Err(errno).with_context(|| format!("make namespace {name}")),
            Err(_) => Err(anyhow!("a thread that makes namespace {name} panicked")),
        };
        match file {
            Ok(file) => Ok(Self { name: name.to_owned(), file, cgroup: None }),
            Err(error) => {
                remove(&path)?;
                Err(error)
            }
        }
    }

    /// Gives a name to the machine's first namespace, to which NICs come back. Dropping it takes the
    /// name away and leaves the namespace.
    pub fn first(name: &str) -> Result<Self> {
        let path = Path::new(NAMES).join(name);
        fs::create_dir_all(NAMES).with_context(|| format!("make {NAMES}"))?;
        share_names().with_context(|| format!("share {NAMES}"))?;
        let file = File::open("/proc/1/ns/net").context("open the first namespace")?;
        File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
        let bound =
            mount(Some("/proc/1/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
        bound.with_context(|| format!("name the first namespace {name}"))?;
        Ok(Self { name: name.to_owned(), file, cgroup: None })
    }

    /// The name that `ip netns` knows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }

    /// Has all that enters, and the processes of commands, be in a cgroup as well.
    pub fn join(&mut self, cgroup: &Cgroup) {
        self.cgroup = Some(cgroup.clone());
    }

    /// Runs `work` on a thread inside the namespace and returns what it returned. Sockets that
    /// it opens belong to the namespace for good, wherever they are used later.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        // A thread of its own: the namespace of a thread ends with it, whatever `work` does.
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("enter namespace {}", self.name))?;
            self.cgroup.as_ref().map_or(Ok(()), Cgroup::join)?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a thread in namespace {} panicked", self.name))?
    }

    /// A command that will run inside the namespace, and die with the thread that started it:
    /// nothing is left running when the sandbox is killed.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let namespace = self.file.as_raw_fd();
        let cgroup = self.cgroup.as_ref().map(Cgroup::descriptor);
        let mut command = Command::new(program);
        let enter = move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            cgroup.map_or(Ok(()), cgroup::join_by)?;
            // SAFETY: a plain system call on a descriptor that the child inherited by fork.
            match unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes three system calls and touches no lock and no heap, which is
        // what the child of a threaded process may do between fork and exec.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs lines of `ip` commands inside the namespace in one process.
    pub fn ip(&self, lines: &[String]) -> Result<()> {
        let batch = lines.join("\n") + "\n";
        let mut ip = Command::new("ip");
        command::run_with_input(ip.args(["-n", &self.name, "-batch", "-"]), &batch)?;
        Ok(())
    }

    /// Writes settings below `/proc/sys/net`, given as `("ipv4/ip_forward", "1")`.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.enter(|| {
            for (name, value) in settings {
                let path = Path::new("/proc/sys/net").join(name);
                fs::write(&path, value)
                    .with_context(|| format!("{}: write {value:?} to {name}", self.name))?;
            }
            Ok(())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path()) {
            eprintln!("netpath-sandbox: {error:#}");
        }
    }
}

/// Makes the folder of names a shared mount, as `ip netns add` does. podman would do it otherwise,
/// by a mount over it that carries a second copy of every name: none could be removed.
fn share_names() -> nix::Result<()> {
    let none = None::<&str>;
    let shared = MsFlags::MS_REC | MsFlags::MS_SHARED;
    match mount(none, NAMES, none, shared, none) {
        // Not a mount yet.
        Err(nix::Error::EINVAL) => {
            mount(Some(NAMES), NAMES, none, MsFlags::MS_REC | MsFlags::MS_BIND, none)?;
            mount(none, NAMES, none, shared, none)
        }
        ended => ended,
    }
}

/// Takes a name away. The namespace ends with the last process or socket in it.
fn remove(path: &Path) -> Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // Nothing was mounted there yet.
        Ok(()) | Err(nix::Error::EINVAL) => {}
        Err(errno) => return Err(errno).with_context(|| format!("unmount {}", path.display())),
    }
    fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
}
