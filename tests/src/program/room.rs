//! Private namespaces: a node's with two parents and two endpoints' devices, a pod's, and a bpf file system.

use std::{fs::File, os::unix::fs::MetadataExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    net::if_::if_nametoindex,
    sched::{CloneFlags, setns, unshare},
};

/// The namespaces of this thread, and what is in them. They end with the thread.
#[derive(Debug)]
pub struct Room {
    /// Interface indexes of the two parents.
    pub parents: [u32; 2],
    /// Interface indexes of the node's side of two veth pairs.
    pub devices: [u32; 2],
    /// A directory in the bpf file system.
    pub pins: PathBuf,
    /// Where the parents are, and this thread.
    pub node: Namespace,
    /// Another one. A test run's packet belongs to a socket of the namespace that the run is made
    /// in, and names a device there: this one has devices of the parents' indexes.
    pub pod: Namespace,
    _mount: tempfile::TempDir,
}

impl Room {
    /// Moves this thread into namespaces of its own. Needs root.
    pub fn enter() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .context("can not make namespaces: run as root")?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
            .context("make mounts private")?;
        let directory = tempfile::tempdir()?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), nothing)
            .context("mount a bpf file system")?;
        let parents = [veth("parent0")?, veth("parent1")?];
        let devices = [veth("device0")?, veth("device1")?];
        let node = Namespace::own()?;
        unshare(CloneFlags::CLONE_NEWNET).context("make the pod's namespace")?;
        for (name, index) in ["parent0", "parent1"].into_iter().zip(parents) {
            let (index, peer) = (index.to_string(), format!("{name}-peer"));
            ip(&["link", "add", name, "index", &index, "type", "veth", "peer", "name", &peer])?;
        }
        let pod = Namespace::own()?;
        node.enter()?;
        let pins = directory.path().join("netpath");
        Ok(Self { parents, devices, pins, node, pod, _mount: directory })
    }
}

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    /// Its number, as the programs read it of a socket.
    pub number: u32,
}

impl Namespace {
    fn own() -> Result<Self> {
        let file = File::open("/proc/thread-self/ns/net")?;
        let number = u32::try_from(file.metadata()?.ino())?;
        Ok(Self { file, number })
    }

    /// Moves this thread there.
    pub fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).context("enter a network namespace")
    }
}

/// A veth pair, by the index of its first end.
fn veth(name: &str) -> Result<u32> {
    ip(&["link", "add", name, "type", "veth", "peer", "name", &format!("{name}-peer")])?;
    Ok(if_nametoindex(name)?)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip")?;
    if !output.status.success() {
        bail!("ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
