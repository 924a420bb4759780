//! `cargo xtask vm`: one command, or a shell, in a guest.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::disk::{Disk, KeptDisk};
use crate::kernel::Series;
use crate::machine::{Channel, GuestFile, Machine};
use crate::progress::step;
use crate::userland;
use crate::workspace::Workspace;

/// `cargo xtask vm`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm --kernel 6.1                                  a shell in a guest
  cargo xtask vm --kernel 5.10 -- ip link add d0 type dummy    one command; its exit status is ours
  cargo xtask vm --kernel 7.3 --file target/x:/usr/bin/x -- x  with a program of this machine
  cargo xtask vm --userland -- podman --version                in Debian, with container runtimes
  cargo xtask vm --disk target/d.ext4:/data -- touch /data/x   with a disk that outlives the guest
The console log is kept below target/vm.")]
pub(crate) struct Args {
    /// Kernel series of the guest.
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Memory of the guest in MiB.
    #[arg(long, value_name = "MB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(256..))]
    memory: u32,
    /// Processors of the guest.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Let guest time count instructions, for figures that repeat (one processor).
    #[arg(long)]
    icount: bool,
    /// Copy a file of this machine into the guest, with the libraries a program needs.
    #[arg(long = "file", value_name = "HOST:GUEST")]
    files: Vec<GuestFile>,
    /// Programs of Debian 12, among them containerd and podman, instead of this machine's.
    #[arg(long)]
    userland: bool,
    /// Mount a disk that is kept in a file of this machine, made if it is not there.
    #[arg(long = "disk", value_name = "FILE:FOLDER")]
    disks: Vec<KeptDisk>,
    /// End the guest after this many seconds [default: 600, none for a terminal]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Command to run in the guest.
    #[arg(last = true, default_value = "bash")]
    command: Vec<String>,
}

/// Runs one command in a guest; its exit status.
pub(crate) fn main(workspace: &Workspace, args: Args) -> Result<i32> {
    if args.icount && args.cpus > 2 {
        bail!("--cpus {}: --icount counts the instructions of one processor", args.cpus);
    }
    let mut machine = Machine::new(args.kernel, args.command);
    machine.memory_mib = args.memory;
    machine.cpus = args.cpus;
    if args.icount {
        machine.count_instructions();
    }
    machine.files = args.files;
    if args.userland {
        machine.disks.push(userland::get(workspace)?);
    }
    for KeptDisk { file, mount } in args.disks {
        machine.disks.push(Disk::kept(file, &mount)?);
    }
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    if interactive {
        machine.wait_forever();
    }
    if let Some(seconds) = args.timeout {
        machine.timeout = Duration::from_secs(seconds);
    }
    let mut stdout = io::stdout();
    let channel = if interactive { Channel::Terminal } else { Channel::Output(&mut stdout) };
    let outcome = machine.run(workspace, channel)?;
    step(format!("Guest ended: {outcome}"));
    Ok(outcome.exit)
}
