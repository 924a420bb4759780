//! `cargo xtask bench`: measurements on this machine's own kernel, as root, or in a guest whose clock
//! counts instructions.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::build;
use crate::command;
use crate::kernel::Series;
use crate::machine::{Channel, GuestFile, Machine};
use crate::progress::step;
use crate::run::guest_programs;
use crate::workspace::Workspace;

/// All wirings, on a busy machine. They are printed together.
const LIMIT: Duration = Duration::from_mins(20);
/// What measures, here or in the guest.
const PROGRAM: &str = "netpath-bench";

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench decide            nanoseconds per packet for each path
  cargo xtask bench decide -o json    for programs
  cargo xtask bench decide --help     the measurement's own switches
  cargo xtask bench services          what Services cost, beside nftables and iptables
  cargo xtask bench cost              instructions per round trip, beside bare ipvlan, macvlan and veth")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Nanoseconds per packet for each path, on this machine's own kernel.
    #[command(disable_help_flag = true)]
    Decide {
        /// The measurement's own switches.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Nanoseconds of a connection to a Service and of a datagram, on this machine's own kernel.
    #[command(disable_help_flag = true)]
    Services {
        /// The measurement's own switches.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Instructions per round trip, by who asks whom and how the pods are wired.
    ///
    /// Counted in a guest: the same to about one in a hundred, whatever else this machine does.
    #[command(after_help = "Examples:
  cargo xtask bench cost                       a table, on Linux 6.12
  cargo xtask bench cost --kernel 7.3          on another kernel
  cargo xtask bench cost -o json | jq '.[] | select(.exchange == \"host-pod\")'")]
    Cost {
        /// Kernel series of the guest.
        #[arg(long, default_value = "6.12")]
        kernel: Series,
        /// A table for people or one JSON document.
        #[arg(short, long, default_value = "table", value_parser = ["table", "json"])]
        output: String,
    },
}

/// Runs the measurement; its exit status.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let programs = build::programs(workspace)?;
    match &args.what {
        What::Decide { words } => here(&programs, "decide", words),
        What::Services { words } => here(&programs, "services", words),
        What::Cost { kernel, output } => cost(workspace, &programs, *kernel, output),
    }
}

fn here(programs: &Path, what: &str, words: &[String]) -> Result<i32> {
    let mut bench = command::as_root(programs.join(PROGRAM));
    let status = bench.arg(what).args(words).status();
    let status = status.with_context(|| format!("start `{}`", command::line(&bench)))?;
    Ok(status.code().unwrap_or(1))
}

fn cost(workspace: &Workspace, programs: &Path, series: Series, output: &str) -> Result<i32> {
    let words = [PROGRAM, "cost", "--output", output];
    let mut machine = Machine::new(series, words.map(str::to_owned).into());
    machine.count_instructions();
    machine.files = guest_programs(programs);
    let guest = format!("/usr/bin/{PROGRAM}");
    machine.files.push(GuestFile { host: programs.join(PROGRAM), guest });
    (machine.timeout, machine.silence) = (LIMIT, LIMIT);
    let mut stdout = io::stdout();
    let outcome = machine.run(workspace, Channel::Output(&mut stdout))?;
    stdout.flush().context("write the output")?;
    step(format!("Guest ended: {outcome}"));
    Ok(outcome.exit)
}
