//! The contract between the host side (`xtask::machine`) and the guest's first process
//! (`netpath-init`): files in the initramfs, channel names, and the verdict line.

use std::fmt;

/// Kernel modules to load, one absolute path a line, in load order.
pub const MODULES: &str = "/netpath/modules";
/// The command to run, one argument a NUL-terminated string.
pub const COMMAND: &str = "/netpath/command";
/// `ROWS COLUMNS` of the user's terminal. Present only if the command gets a terminal.
pub const TERMINAL: &str = "/netpath/terminal";
/// Where each disk is mounted, one absolute path a line. Present only if there are disks.
pub const DISKS: &str = "/netpath/disks";
/// What lies over the disk that is mounted on `/`. Present only if there is such a disk.
pub const FILES: &str = "/netpath/files";

/// The serial number of a virtio disk, by its line in [`DISKS`], from 0.
#[must_use]
pub fn disk_serial(line: usize) -> String {
    format!("netpath-{line}")
}

/// virtio-serial port that the command's standard input comes from.
pub const STDIN: &str = "netpath.stdin";
/// virtio-serial port that the command's standard output goes to.
pub const STDOUT: &str = "netpath.stdout";
/// virtio-serial port that the command's standard error goes to.
pub const STDERR: &str = "netpath.stderr";

/// Starts every line that the guest's first process writes into the kernel log.
pub const LOG_PREFIX: &str = "netpath-init: ";

/// How the guest's command ended: the one line of the console that decides the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict(pub i32);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LOG_PREFIX}exit {}", self.0)
    }
}

impl Verdict {
    /// The verdict that a console line carries. The kernel puts a time stamp before it.
    #[must_use]
    pub fn from_console_line(line: &str) -> Option<Self> {
        let (before, rest) = line.trim_end().split_once(LOG_PREFIX)?;
        if !(before.is_empty() || before.ends_with("] ")) {
            return None;
        }
        rest.strip_prefix("exit ")?.parse().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_survives_the_kernel_log() {
        let line = format!("[    3.141592] {}\r", Verdict(7));
        assert_eq!(Verdict::from_console_line(&line), Some(Verdict(7)));
        assert_eq!(Verdict::from_console_line("netpath-init: exit 0"), Some(Verdict(0)));
    }

    #[test]
    fn other_lines_are_no_verdict() {
        for line in ["", "netpath-init: 61 modules", "echo netpath-init: exit 0", "exit 0"] {
            assert_eq!(Verdict::from_console_line(line), None, "{line}");
        }
    }
}
