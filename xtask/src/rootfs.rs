//! What is in a guest: its first process, kernel modules, a userland from this machine's own
//! programs with their libraries (unless a disk brings one), and the files that the caller
//! brings.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::guest::{COMMAND, DISKS, FILES, MODULES, TERMINAL};

use crate::command;
use crate::cpio::Archive;
use crate::disk::{self, Disk};
use crate::kernel::Kernel;
use crate::machine::GuestFile;
use crate::modules;

/// Programs copied from this machine, with their libraries; busybox stands in for the rest.
/// A real shell is among them: busybox's prefers its own applets to what is on PATH.
const PROGRAMS: [&str; 9] =
    ["ip", "tc", "ss", "bridge", "bpftool", "nft", "ping", "sysctl", "bash"];

/// What iptables is made of, and those of its extensions that the scenarios use: it opens them by name.
const IPTABLES: &str = "xtables-nft-multi";
const EXTENSIONS: &str = "/usr/lib/x86_64-linux-gnu/xtables";
const EXTENSION_NAMES: [&str; 9] =
    ["MARK", "DNAT", "MASQUERADE", "addrtype", "conntrack", "mark", "standard", "tcp", "udp"];

/// Before `/bin`, where busybox's applets are.
const REAL: &str = "/usr/bin";

/// A guest's content, to be written as an initramfs.
#[derive(Debug)]
pub(crate) struct Rootfs<'a> {
    pub(crate) init: &'a Path,
    pub(crate) kernel: &'a Kernel,
    pub(crate) files: &'a [GuestFile],
    pub(crate) disks: &'a [Disk],
    pub(crate) command: &'a [String],
    /// Rows and columns, if the command gets a terminal.
    pub(crate) terminal: Option<&'a str>,
}

impl Rootfs<'_> {
    /// Writes the initramfs into a file that is there as long as somebody has it open, so that
    /// nothing is left behind however we end.
    pub(crate) fn write(&self, path: &Path) -> Result<File> {
        let say = || format!("write {}", path.display());
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.with_context(say)?;
        fs::remove_file(path).with_context(say)?;
        let mut content =
            Content { archive: Archive::new(BufWriter::new(file)), seen: BTreeSet::new() };
        content.copy(self.init, "/init")?;
        if disk::has_root(self.disks) {
            content.archive.folder(FILES).with_context(say)?;
            for file in self.files {
                // Without this machine's libraries: the disk has others.
                content.copy(&file.host, &format!("{FILES}{}", file.guest))?;
            }
        } else {
            content.userland()?;
            for file in self.files {
                content.program(&file.host, &file.guest)?;
            }
        }
        if !self.disks.is_empty() {
            let mounts: String =
                self.disks.iter().flat_map(|disk| [disk.mount.as_str(), "\n"]).collect();
            content.text(DISKS, &mounts)?;
        }
        content.modules(self.kernel, !self.disks.is_empty())?;
        let command: String = self.command.iter().flat_map(|word| [word, "\0"]).collect();
        content.text(COMMAND, &command)?;
        if let Some(size) = self.terminal {
            content.text(TERMINAL, size)?;
        }
        content.archive.finish().and_then(|to| Ok(to.into_inner()?)).with_context(say)
    }
}

struct Content {
    archive: Archive<BufWriter<File>>,
    /// Libraries that several programs share are added once.
    seen: BTreeSet<String>,
}

impl Content {
    fn userland(&mut self) -> Result<()> {
        for folder in ["dev", "proc", "sys", "run", "tmp", "root", "var/lib", "etc"] {
            self.archive.folder(folder)?;
        }
        self.archive.link("/var/run", "/run")?;
        self.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")?;
        self.text("/etc/group", "root:x:0:\n")?;
        self.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
        // Line editing wants to know the terminal.
        let xterm = Path::new("/lib/terminfo/x/xterm");
        if xterm.exists() {
            self.copy(xterm, "/lib/terminfo/x/xterm")?;
        }
        self.archive.link("/bin/sh", "/usr/bin/bash")?;
        for name in PROGRAMS {
            if let Some(path) = command::find(name) {
                self.program(&path, &format!("{REAL}/{name}"))?;
            }
        }
        if let Some(iptables) = command::find(IPTABLES) {
            self.program(&iptables, &format!("{REAL}/{IPTABLES}"))?;
            for name in EXTENSION_NAMES {
                let path = format!("{EXTENSIONS}/libxt_{name}.so");
                self.program(Path::new(&path), &path)?;
            }
        }
        let busybox = command::find("busybox").context("no busybox: install busybox-static")?;
        self.program(&busybox, "/bin/busybox")?;
        for applet in command::output(Command::new(busybox).arg("--list"))?.lines() {
            if !["sh", "busybox"].contains(&applet) {
                self.archive.link(&format!("/bin/{applet}"), "busybox")?;
            }
        }
        Ok(())
    }

    fn modules(&mut self, kernel: &Kernel, disks: bool) -> Result<()> {
        let mut list = String::new();
        for module in kernel.load_order(&modules::all(disks))? {
            let inside =
                module.strip_prefix(&kernel.root).context("a module outside its kernel")?;
            let inside = format!("/{}", inside.display());
            self.copy(&module, &inside)?;
            list.push_str(&inside);
            list.push('\n');
        }
        self.text(MODULES, &list)
    }

    /// Adds a file, and the libraries it needs if it is a dynamic program.
    fn program(&mut self, host: &Path, guest: &str) -> Result<()> {
        self.copy(host, guest)?;
        for library in libraries(host) {
            let inside = library.to_string_lossy().into_owned();
            if self.seen.insert(inside.clone()) {
                self.copy(&library, &inside)?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, host: &Path, guest: &str) -> Result<()> {
        let say = || format!("copy {} to {guest} in the guest", host.display());
        let content = fs::read(host).with_context(say)?;
        let permissions = fs::metadata(host).with_context(say)?.permissions().mode() & 0o777;
        self.archive.file(guest, permissions, &content).with_context(say)
    }

    fn text(&mut self, guest: &str, content: &str) -> Result<()> {
        let added = self.archive.file(guest, 0o644, content.as_bytes());
        added.with_context(|| format!("write {guest} in the guest"))
    }
}

/// The libraries of a dynamic program; nothing for anything else, where ldd fails.
fn libraries(program: &Path) -> Vec<PathBuf> {
    // Cargo tells its children of libraries of its own, which are not the program's.
    let list = command::output(Command::new("ldd").arg(program).env_remove("LD_LIBRARY_PATH"));
    list.unwrap_or_default().lines().filter_map(library).collect()
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f..)` or `/lib64/ld-linux-x86-64.so.2 (0x7f..)`
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_once(" => ").map_or(line, |(_, path)| path);
    let path = path.split_whitespace().next()?;
    path.starts_with('/').then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_lines() {
        let found = |line| library(line).map(|path| path.to_string_lossy().into_owned());
        let libc = found("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0000000000)");
        assert_eq!(libc.as_deref(), Some("/lib/x86_64-linux-gnu/libc.so.6"));
        let loader = found("\t/lib64/ld-linux-x86-64.so.2 (0x00007f0000000000)");
        assert_eq!(loader.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(found("\tlinux-vdso.so.1 (0x00007f0000000000)"), None);
        assert_eq!(found("\tstatically linked"), None);
    }
}
