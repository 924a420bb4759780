//! The command lines of `netpath-agent` and `netpath`.

pub mod agent;
pub mod operator;

use std::io::{self, Write as _};

use clap::CommandFactory;
use clap_complete::Shell;

/// The command did what it was asked to.
pub const OK: u8 = 0;
/// It failed, or the agent refused.
pub const FAILED: u8 = 1;
/// The command line makes no sense; clap exits with the same.
pub const USAGE: u8 = 2;
/// No agent answers.
pub const UNREACHABLE: u8 = 3;

/// What `--help` says about exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or refused by the agent
  2  the command line makes no sense
  3  no agent answers";

/// Prints the completions of a shell.
fn completions<C: CommandFactory>(shell: Shell) {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut io::stdout());
}

/// Prints results. Whoever closes the pipe early (`netpath ... | head`) has seen enough.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Prints an error on one line.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "error: {text}");
}
