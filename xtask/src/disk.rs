//! Disks of a guest: ext4 file systems in files of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result};

use crate::command;

/// Both generations of mke2fs and every kernel know these. The defaults of a newer mke2fs are
/// unknown to an older one, or to Linux 5.10.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,sparse_super,\
    large_file,huge_file,dir_nlink,extra_isize,metadata_csum,64bit";
/// Of every file system; only what is written takes place on this machine.
const SIZE: &str = "1G";

/// What becomes of a guest's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The guest can not write; many guests may use the disk at once.
    Shared,
    /// They outlive the guest; if QEMU is killed, those that the guest flushed.
    Kept,
}

/// A disk and where the guest mounts it.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) file: PathBuf,
    /// Absolute path in the guest. On `/` it is the lower layer of an overlay: changes go to
    /// memory.
    pub(crate) mount: String,
    pub(crate) mode: Mode,
}

impl Disk {
    /// A disk whose content outlives the guest, made empty if there is no such file.
    pub(crate) fn kept(file: PathBuf, mount: &str) -> Result<Self> {
        if !file.exists() {
            format(&file, None)?;
        }
        Ok(Self { file, mount: mount.to_owned(), mode: Mode::Kept })
    }
}

/// Whether a guest with these disks has its userland from one.
pub(crate) fn has_root(disks: &[Disk]) -> bool {
    disks.iter().any(|disk| disk.mount == "/")
}

/// Makes an ext4 file system in a file, with the content of a folder. Nothing is mounted, so
/// that nobody needs to be root; who is not owns the files in the guest, too.
pub(crate) fn format(file: &Path, content: Option<&Path>) -> Result<()> {
    // A file of this name is whole: it is made under another one.
    let partial = file.with_extension("partial");
    let say = || format!("make disk {}", file.display());
    if partial.exists() {
        fs::remove_file(&partial).with_context(say)?;
    }
    let program = command::find("mke2fs").context("no mke2fs: install package e2fsprogs")?;
    let mut mke2fs = Command::new(program);
    mke2fs.args(["-q", "-t", "ext4", "-m", "0", "-O", FEATURES, "-E", "root_owner=0:0"]);
    if let Some(folder) = content {
        mke2fs.arg("-d").arg(folder);
    }
    command::run(mke2fs.arg(&partial).arg(SIZE))?;
    fs::rename(&partial, file).with_context(say)
}

/// A file and where the guest mounts it, as a user writes it.
#[derive(Debug, Clone)]
pub(crate) struct KeptDisk {
    pub(crate) file: PathBuf,
    pub(crate) mount: String,
}

impl FromStr for KeptDisk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((file, mount)) if !file.is_empty() && mount.starts_with('/') && mount != "/" => {
                Ok(Self { file: file.into(), mount: mount.to_owned() })
            }
            _ => Err("expected FILE:FOLDER with an absolute FOLDER other than /".to_owned()),
        }
    }
}
