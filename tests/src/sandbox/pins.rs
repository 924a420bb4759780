//! A bpf file system of a test's own.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A bpf file system, gone when dropped.
#[derive(Debug)]
pub struct Pins {
    folder: tempfile::TempDir,
}

impl Pins {
    /// Mounts it. Needs root.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let nothing = None::<&str>;
        mount(Some("bpf"), folder.path(), Some("bpf"), MsFlags::empty(), nothing)
            .context("mount a bpf file system: run as root")?;
        Ok(Self { folder })
    }

    /// A directory in it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("netpath")
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // The folder goes with its own value.
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}
