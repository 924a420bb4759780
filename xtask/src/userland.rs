//! A Debian userland on a disk, for guests that run real container runtimes.
//!
//! Its packages are unpacked and not installed: no script of theirs runs, so that nobody needs
//! to be root and nothing of this machine gets in. What the scripts would have done, and the
//! programs below need, is done here.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::archive::Archive;
use crate::command;
use crate::disk::{self, Disk, Mode};
use crate::progress::step;
use crate::workspace::Workspace;

/// Debian 12: the last release whose podman still speaks CNI.
const SUITES: [&str; 2] = ["bookworm", "bookworm-security"];

/// What the scenarios call, and what these call without depending on it.
const PACKAGES: [&str; 15] = [
    "containerd",
    "podman",
    "containernetworking-plugins",
    "runc",
    "iptables",
    "iproute2",
    "nftables",
    "iputils-ping",
    "bpftool",
    "procps",
    "bash",
    "dash",
    "busybox-static",
    "netbase",
    // Debian's folders as they are packed; its sister would bring Perl to change them.
    "usr-is-merged",
];

/// Read by nobody in a guest.
const NOT_NEEDED: [&str; 7] = [
    "boot",
    "usr/share/bash-completion",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo",
];

/// Files that packages leave to their scripts.
const TEXTS: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/resolv.conf", ""),
];

/// Counts changes of what this file does to the packages.
const GENERATION: u32 = 1;

/// The disk from the cache, made first if it is not there or was made otherwise.
pub(crate) fn get(workspace: &Workspace) -> Result<Disk> {
    let cache = workspace.target.join("userland");
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    // Two commands may want it at once: the second waits for the first.
    let lock = File::create(cache.join("lock")).context("create lock")?;
    lock.lock().context("wait for another download of the userland")?;
    let file = cache.join("userland.ext4");
    // Which packages, not which versions: as with kernels, a cache does not change by itself.
    let recipe = format!("{} {} {GENERATION}\n", SUITES.join(" "), PACKAGES.join(" "));
    let made = cache.join("recipe");
    let current = file.exists() && fs::read_to_string(&made).is_ok_and(|text| text == recipe);
    if !current {
        build(&cache, &file)?;
        fs::write(&made, recipe).with_context(|| format!("write {}", made.display()))?;
    }
    Ok(Disk { file, mount: "/".to_owned(), mode: Mode::Shared })
}

fn build(cache: &Path, file: &Path) -> Result<()> {
    let work = cache.join("partial");
    let root = work.join("root");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    }
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    step(format!("Downloading a userland from Debian {} (about 80 MB)", SUITES[0]));
    let packages = Archive::open(&SUITES, &work)?.download_whole(&PACKAGES)?;
    step("Unpacking the userland");
    for package in &packages {
        command::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    settle(&root)?;
    disk::format(file, Some(&root))?;
    let names = packages.iter().filter_map(|package| package.file_stem()?.to_str());
    let names: String = names.flat_map(|name| [name, "\n"]).collect();
    fs::write(cache.join("packages"), names).context("write the list of packages")?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))
}

/// Does what the packages' scripts would have done.
fn settle(root: &Path) -> Result<()> {
    for folder in NOT_NEEDED.map(|folder| root.join(folder)).iter().filter(|path| path.exists()) {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    for folder in ["dev", "proc", "sys", "run", "tmp", "root", "opt/cni/bin", "etc/cni/net.d"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    for (name, text) in TEXTS {
        fs::write(root.join(name), text).with_context(|| format!("write {name}"))?;
    }
    for family in ["iptables", "ip6tables"] {
        for verb in ["", "-save", "-restore"] {
            link("xtables-nft-multi", &root.join(format!("usr/sbin/{family}{verb}")))?;
        }
    }
    busybox(root)
}

/// busybox stands in for what no package brings. The program is static: it runs here as well.
fn busybox(root: &Path) -> Result<()> {
    let busybox = root.join("bin/busybox");
    for applet in command::output(Command::new(&busybox).arg("--list"))?.lines() {
        let mut places = ["bin", "sbin", "usr/bin", "usr/sbin"].iter();
        if !places.any(|place| root.join(place).join(applet).symlink_metadata().is_ok()) {
            link("busybox", &root.join("bin").join(applet))?;
        }
    }
    if root.join("bin/sh").symlink_metadata().is_err() {
        link("bash", &root.join("bin/sh"))?;
    }
    Ok(())
}

fn link(target: &str, name: &Path) -> Result<()> {
    symlink(PathBuf::from(target), name).with_context(|| format!("create {}", name.display()))
}
