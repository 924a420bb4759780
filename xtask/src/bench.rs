//! `cargo xtask bench`: measurements on this machine's own kernel, as root.

use anyhow::{Context as _, Result};

use crate::build;
use crate::command;
use crate::workspace::Workspace;

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench decide            nanoseconds per packet for each path
  cargo xtask bench decide -o json    for programs
  cargo xtask bench decide --help     the measurement's own switches")]
pub(crate) struct Args {
    /// What to measure, and the measurement's own switches.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the measurement; its exit status.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let programs = build::programs(workspace)?;
    let mut bench = command::as_root(programs.join("netpath-bench"));
    let status = bench.args(&args.words).status();
    let status = status.with_context(|| format!("start `{}`", command::line(&bench)))?;
    Ok(status.code().unwrap_or(1))
}
