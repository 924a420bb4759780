//! Cgroups of nodes, in which the processes and the threads of a node and its pods run.
//!
//! One of the test's own is at the top, to which the test moves, and one a node is below. Those are
//! threaded (Linux 4.14): a thread that asks a question on behalf of a pod moves alone, and its sockets
//! are its node's.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::fd::{AsRawFd as _, RawFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use nix::libc;

/// The cgroups of a sandbox; they are removed when this is dropped.
#[derive(Debug)]
pub struct Cgroups {
    nodes: Vec<Cgroup>,
    own: PathBuf,
    home: PathBuf,
}

/// A cgroup that threads may move to.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: PathBuf,
    threads: Arc<File>,
}

impl Cgroups {
    /// Makes a cgroup called `prefix`, moves this process there, and makes one a name below. `None`
    /// if no file system of cgroups (version 2) is mounted.
    pub fn create(prefix: &str, names: &[&str]) -> Result<Option<Self>> {
        let Some(root) = mounted()? else { return Ok(None) };
        let home = home(&root)?;
        let own = root.join(prefix);
        make(&own)?;
        let mut cgroups = Self { nodes: Vec::new(), own, home };
        for name in names {
            let path = cgroups.own.join(name);
            make(&path)?;
            let threads = path.join("cgroup.threads");
            let opened = write(&path, "cgroup.type", "threaded").and_then(|()| {
                let file = File::options().write(true).open(&threads);
                file.with_context(|| format!("open {}", threads.display()))
            });
            match opened {
                Ok(threads) => cgroups.nodes.push(Cgroup { path, threads: Arc::new(threads) }),
                Err(error) => {
                    remove(&path);
                    return Err(error);
                }
            }
        }
        // Last: threads move within the tree of their process only.
        write(&cgroups.own, "cgroup.procs", "0")?;
        Ok(Some(cgroups))
    }

    /// That of a node, by the place of its name.
    #[must_use]
    pub fn node(&self, at: usize) -> &Cgroup {
        &self.nodes[at]
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Err(error) = write(&self.home, "cgroup.procs", "0") {
            eprintln!("netpath-sandbox: {error:#}");
        }
        for Cgroup { path, .. } in &self.nodes {
            remove(path);
        }
        remove(&self.own);
    }
}

impl Cgroup {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the calling thread there: sockets that it opens from now on are the cgroup's.
    pub fn join(&self) -> Result<()> {
        let joined = (&*self.threads).write_all(b"0");
        joined.with_context(|| format!("move to cgroup {}", self.path.display()))
    }

    /// What a child process needs to move there; open as long as this is.
    pub(super) fn descriptor(&self) -> RawFd {
        self.threads.as_raw_fd()
    }
}

/// Moves the calling thread by the descriptor of a cgroup. It does nothing that a process must not do
/// between fork and exec.
pub(super) fn join_by(descriptor: RawFd) -> io::Result<()> {
    let myself = b"0";
    // SAFETY: a plain system call on one byte of a constant.
    match unsafe { libc::write(descriptor, myself.as_ptr().cast(), myself.len()) } {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn make(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("make cgroup {}", path.display()))
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir(path) {
        eprintln!("netpath-sandbox: remove cgroup {}: {error}", path.display());
    }
}

fn write(cgroup: &Path, file: &str, text: &str) -> Result<()> {
    let path = cgroup.join(file);
    fs::write(&path, text).with_context(|| format!("write {text:?} to {}", path.display()))
}

/// Where the cgroups are mounted.
fn mounted() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    Ok(mounts.lines().find_map(mount_of_cgroups))
}

/// `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw`
fn mount_of_cgroups(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let path = before.split(' ').nth(4)?;
    after.starts_with("cgroup2 ").then(|| path.into())
}

/// The cgroup that this process is in.
fn home(root: &Path) -> Result<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").context("read the own cgroup")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(root.join(own.context("this process is in no cgroup of version 2")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_of_version_2_are_found_among_mounts() {
        let line = |kind| format!("31 23 0:28 / /sys/fs/cgroup rw shared:9 - {kind} {kind} rw");
        assert_eq!(mount_of_cgroups(&line("cgroup2")), Some("/sys/fs/cgroup".into()));
        assert_eq!(mount_of_cgroups(&line("cgroup")), None);
    }
}
