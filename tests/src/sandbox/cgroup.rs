//! A cgroup (version 2) of a node's processes, whose sockets its agent translates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A cgroup; removed when it is dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one below the machine's root.
    pub fn create(name: &str) -> Result<Self> {
        let path = root()?.join(name);
        fs::create_dir(&path).with_context(|| format!("make the cgroup {}", path.display()))?;
        Ok(Self { path })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves this process, with all its threads, there until the guest is dropped.
    pub fn join(&self) -> Result<Guest> {
        let before = own()?;
        enter(&self.path)?;
        Ok(Guest { before })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("netpath-sandbox: remove {}: {error}", self.path.display());
        }
    }
}

/// This process in another cgroup than before.
#[derive(Debug)]
pub struct Guest {
    before: PathBuf,
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Err(error) = enter(&self.before) {
            eprintln!("netpath-sandbox: {error:#}");
        }
    }
}

fn enter(cgroup: &Path) -> Result<()> {
    let file = cgroup.join("cgroup.procs");
    fs::write(&file, "0").with_context(|| format!("join by {}", file.display()))
}

/// Where cgroups of version 2 are mounted.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let line = line.context("no cgroup file system of version 2 is mounted")?;
    let path = line.split(' ').nth(4).context("a mount without a place")?;
    Ok(path.into())
}

/// Where this process is.
fn own() -> Result<PathBuf> {
    let all = fs::read_to_string("/proc/self/cgroup").context("read the own cgroup")?;
    let path = all.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(root()?.join(path.context("this process is in no cgroup of version 2")?))
}
