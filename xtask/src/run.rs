//! `cargo xtask run`: the sandbox, on this machine or in a guest; or the agent itself.

use std::io::{self, IsTerminal as _, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{ValueEnum as _, ValueHint};

use crate::build;
use crate::command;
use crate::kernel::Series;
use crate::machine::{Channel, GuestFile, Machine};
use crate::packages::{self, NETWORK};
use crate::progress::step;
use crate::workspace::Workspace;

/// The programs that a sandbox is made of.
pub(crate) const PROGRAMS: [&str; 4] =
    ["netpath-sandbox", "netpath-agent", "netpath", "netpath-cni"];
/// A table before and one after, with an emulated processor.
const LIMIT: Duration = Duration::from_mins(15);

/// Where the sandbox runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Host,
    Guest(Series),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "host" {
            return Ok(Self::Host);
        }
        let names = Series::ALL.map(Series::name).join(", ");
        let unknown = |_| format!("expected one of {names}, host");
        Series::from_str(text, false).map(Self::Guest).map_err(unknown)
    }
}

/// `cargo xtask run`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask run                          the reachability table, before and after
  cargo xtask run --kernel 5.10 --hold     on Linux 5.10, with a shell on node1 afterwards
  cargo xtask run -o json | jq .after      for programs
  cargo xtask run --config netpath.toml    the agent on this machine's own network")]
pub(crate) struct Args {
    /// Keep the sandbox alive with a shell, until the shell ends.
    #[arg(long)]
    hold: bool,
    /// 5.10, 6.1, 6.12, 7.3 or host [default: host if it has ipvlan and you are root, else 6.12]
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<Place>,
    /// Run the agent on this machine with its real parent NIC, as this file says.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, exclusive = true)]
    config: Option<PathBuf>,
    /// Tables for people or one JSON document.
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    output: String,
    /// Who switches between pods of one node.
    #[arg(long, default_value = "parent", value_parser = ["parent", "driver"])]
    switching: String,
    /// Where the XDP program runs.
    #[arg(long, default_value = "off", value_parser = ["off", "native", "generic", "auto"])]
    xdp: String,
    /// MTU of every link, in bytes.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1280..=65535))]
    mtu: u32,
}

impl Args {
    fn for_sandbox(&self) -> Vec<String> {
        let mtu = self.mtu.to_string();
        let mut words = vec!["run", "--output", &self.output, "--switching", &self.switching];
        words.extend(["--xdp", &self.xdp, "--mtu", &mtu]);
        words.extend(self.hold.then_some("--hold"));
        words.into_iter().map(str::to_owned).collect()
    }
}

/// Runs the sandbox; its exit status.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    if let Some(config) = &args.config {
        return agent(&build::programs(workspace)?, config);
    }
    packages::install(&NETWORK)?;
    let place = match args.kernel {
        Some(Place::Host) => {
            has_ipvlan().context("this kernel can not run the sandbox; use --kernel 6.12")?;
            Place::Host
        }
        Some(guest) => guest,
        None if command::is_root() && has_ipvlan().is_ok() => Place::Host,
        None => {
            step("No ipvlan on this machine (or not root): using a guest with kernel 6.12");
            Place::Guest(Series::V6_12)
        }
    };
    let programs = build::programs(workspace)?;
    match place {
        Place::Host => on_host(&programs, args),
        Place::Guest(series) => in_guest(workspace, series, &programs, args),
    }
}

fn on_host(programs: &Path, args: &Args) -> Result<i32> {
    let mut sandbox = command::as_root(programs.join("netpath-sandbox"));
    let status = sandbox.args(args.for_sandbox()).status();
    let status = status.with_context(|| format!("start `{}`", command::line(&sandbox)))?;
    // Without a status it died of a signal, which is no success either.
    Ok(status.code().unwrap_or(1))
}

fn in_guest(workspace: &Workspace, series: Series, programs: &Path, args: &Args) -> Result<i32> {
    let mut command = vec!["netpath-sandbox".to_owned()];
    command.extend(args.for_sandbox());
    let mut machine = Machine::new(series, command);
    machine.files = guest_programs(programs);
    let terminal = args.hold && io::stdin().is_terminal() && io::stdout().is_terminal();
    if args.hold {
        machine.wait_forever();
    } else {
        machine.timeout = LIMIT;
    }
    let mut stdout = io::stdout();
    let channel = if terminal { Channel::Terminal } else { Channel::Output(&mut stdout) };
    let outcome = machine.run(workspace, channel)?;
    io::stdout().flush().context("write the output")?;
    step(format!("Guest ended: {outcome}"));
    Ok(outcome.exit)
}

/// The programs of a sandbox, where a guest's PATH has them.
pub(crate) fn guest_programs(folder: &Path) -> Vec<GuestFile> {
    let file =
        |name: &str| GuestFile { host: folder.join(name), guest: format!("/usr/bin/{name}") };
    let next = folder.join(build::NEXT_AGENT).exists().then_some(build::NEXT_AGENT);
    PROGRAMS.into_iter().chain(next).map(file).collect()
}

/// Becomes the agent, so that signals reach it.
fn agent(programs: &Path, config: &Path) -> Result<i32> {
    let mut agent = command::as_root(programs.join("netpath-agent"));
    let error = agent.args(["run", "--config"]).arg(config).exec();
    Err(error).with_context(|| format!("start `{}`", command::line(&agent)))
}

/// Tries ipvlan on this kernel, in a namespace that ends with the attempt.
fn has_ipvlan() -> Result<()> {
    let script =
        "ip link add p0 type veth peer name p1 && ip link add i0 link p0 type ipvlan mode l2";
    command::output(command::as_root("unshare").args(["--net", "sh", "-c", script])).map(drop)
}
