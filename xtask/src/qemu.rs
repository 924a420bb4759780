//! The command line of a guest's QEMU.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use xtask::guest::{STDERR, STDIN, STDOUT, disk_serial};

use crate::disk::Mode;
use crate::machine::Machine;

/// Kernel parameters. A bug ends the guest instead of leaving it half alive, and watchdogs
/// have patience: software emulation on a busy machine is slow. So slow at times that the
/// kernel's test of its timer counts no tick and panics: `no_timer_check`. `devkmsg=on`, since
/// the verdict must not fall to the rate limit of /dev/kmsg.
const PARAMETERS: &str = "console=ttyS0 loglevel=7 printk.devkmsg=on panic=-1 oops=panic \
    watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60 mitigations=off net.ifnames=0 \
    no_timer_check";

/// Ethernet addresses of a guest's NICs, which are on one wire that leads nowhere else.
pub(crate) const NICS: [&str; 2] = ["52:54:00:6e:70:01", "52:54:00:6e:70:02"];

/// The wire between a guest's NICs, to be kept until QEMU has started.
#[derive(Debug)]
pub(crate) struct Wire(OwnedFd, OwnedFd);

impl Wire {
    /// Both ends are open files of QEMU's as well. A guest that starts at the same time may get them
    /// too, and has no use for them.
    pub(crate) fn new() -> Result<Self> {
        let (one, other) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty())
                .context("make the wire between the guest's NICs")?;
        Ok(Self(one, other))
    }
}

/// QEMU for a machine; with a terminal, the guest's hvc0 is on our standard input and output,
/// else three named ports are on our three standard files.
pub(crate) fn command(
    machine: &Machine,
    kernel: &Path,
    initramfs: &File,
    (log, wire): (&Path, &Wire),
    terminal: bool,
) -> Command {
    // The guest must not outlive us, however we end.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "TERM", "--", "qemu-system-x86_64"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-net", "none"]);
    // Without -cx16, QEMU 7.2 crashes 6.12 guests: it gets cmpxchg16b wrong. With erms, kernels fill and
    // copy memory by an instruction that is emulated byte by byte.
    qemu.args(["-cpu", "max,-cx16,-erms", "-m"]).arg(machine.memory_mib.to_string());
    if machine.icount {
        qemu.args(["-accel", "tcg", "-smp", "1", "-icount", "shift=0,sleep=off"]);
    } else {
        qemu.args(["-accel", "tcg,thread=single", "-smp"]).arg(machine.cpus.to_string());
    }
    qemu.arg("-kernel").arg(kernel).arg("-initrd");
    // The file has no name any more, but as one of our open files.
    qemu.arg(format!("/proc/{}/fd/{}", std::process::id(), initramfs.as_raw_fd()));
    qemu.args(["-append", PARAMETERS]);
    for (line, disk) in machine.disks.iter().enumerate() {
        let mode = match disk.mode {
            Mode::Shared => "readonly=on",
            // The guest sees a disk with a volatile cache: what it flushed is on this machine's
            // own disk. What it had only in its memory is gone when QEMU is killed.
            Mode::Kept => "cache=writeback",
        };
        let file = escaped(&disk.file);
        qemu.arg("-drive").arg(format!("if=none,id=disk{line},format=raw,{mode},file={file}"));
        let serial = disk_serial(line);
        qemu.arg("-device").arg(format!("virtio-blk-pci,drive=disk{line},serial={serial}"));
    }
    for (number, (mac, end)) in NICS.iter().zip([&wire.0, &wire.1]).enumerate() {
        qemu.arg("-netdev").arg(format!("socket,id=nic{number},fd={}", end.as_raw_fd()));
        qemu.arg("-device").arg(format!("virtio-net-pci,netdev=nic{number},mac={mac},romfile="));
    }
    qemu.arg("-chardev").arg(format!("file,id=console,path={}", escaped(log)));
    qemu.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
    // Keys such as Ctrl-C go to the guest.
    qemu.args(["-chardev", "stdio,id=stdin,signal=off"]);
    if terminal {
        qemu.args(["-device", "virtconsole,chardev=stdin"]);
        return qemu;
    }
    for (number, name) in [(1, "stdout"), (2, "stderr")] {
        qemu.arg("-chardev").arg(format!("file,id={name},path=/dev/fd/{number}"));
    }
    for (chardev, port) in [("stdin", STDIN), ("stdout", STDOUT), ("stderr", STDERR)] {
        qemu.arg("-device").arg(format!("virtserialport,chardev={chardev},name={port}"));
    }
    qemu
}

/// QEMU separates options by commas; a doubled one stands for itself.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
