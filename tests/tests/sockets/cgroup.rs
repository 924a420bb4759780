//! A cgroup of this test's own, and moving this process.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

/// The tree of all cgroups of version 2, and where this process was.
#[derive(Debug)]
pub(crate) struct Tree {
    mount: tempfile::TempDir,
    home: PathBuf,
}

impl Tree {
    /// Mounts the tree, in a mount namespace that ends with this process.
    pub(crate) fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let nothing = None::<&str>;
        mount(Some("cgroup2"), folder.path(), Some("cgroup2"), MsFlags::empty(), nothing)
            .context("mount the cgroups of version 2")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let home = folder.path().join(own.context("this process is in no cgroup of version 2")?);
        Ok(Self { mount: folder, home })
    }

    /// Makes a cgroup at the top.
    pub(crate) fn create(&self, name: &str) -> Result<Cgroup> {
        let name = format!("netpath-{}-{name}", std::process::id());
        let path = self.mount.path().join(name);
        fs::create_dir(&path).with_context(|| format!("make cgroup {}", path.display()))?;
        Ok(Cgroup { path, home: self.home.clone() })
    }

    /// Moves this process back to where it was.
    pub(crate) fn leave(&self) -> Result<()> {
        join(&self.home)
    }
}

/// A cgroup, removed when dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    home: PathBuf,
}

impl Cgroup {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves this process there: sockets that it opens from now on are the cgroup's.
    pub(crate) fn join(&self) -> Result<()> {
        join(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let removed = join(&self.home).and_then(|()| Ok(fs::remove_dir(&self.path)?));
        if let Err(error) = removed {
            eprintln!("cgroup {} is left: {error:#}", self.path.display());
        }
    }
}

fn join(cgroup: &Path) -> Result<()> {
    let procs = cgroup.join("cgroup.procs");
    fs::write(&procs, "0").with_context(|| format!("write {}", procs.display()))
}
