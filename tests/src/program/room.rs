//! A private network and mount namespace, with two parents and a bpf file system.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};

/// The namespaces of this thread, and what is in them. They end with the thread.
#[derive(Debug)]
pub struct Room {
    /// Interface indexes of the two parents.
    pub parents: [u32; 2],
    /// A directory in the bpf file system.
    pub pins: PathBuf,
    _mount: tempfile::TempDir,
}

impl Room {
    /// Moves this thread into namespaces of its own. Needs root.
    pub fn enter() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .context("can not make namespaces: run as root")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("make mounts private")?;
        let directory = tempfile::tempdir()?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), none)
            .context("mount a bpf file system")?;
        let mut parents = [0; 2];
        for (name, index) in ["parent0", "parent1"].into_iter().zip(&mut parents) {
            let peer = format!("{name}-peer");
            ip(&["link", "add", name, "type", "veth", "peer", "name", &peer])?;
            *index = if_nametoindex(name)?;
        }
        Ok(Self { parents, pins: directory.path().join("netpath"), _mount: directory })
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip")?;
    if !output.status.success() {
        bail!("ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
