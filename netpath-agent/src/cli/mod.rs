//! The command lines of `netpath-agent` and `netpath`.

pub mod agent;
mod crds;
mod install;
pub mod operator;

use std::io::{self, Write as _};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

/// The command did what it was asked to.
pub const OK: u8 = 0;
/// It failed, or the agent refused.
pub const FAILED: u8 = 1;
/// The command line makes no sense.
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

/// Reads the command line. Where there is nothing to run, what clap has to say is printed and the
/// exit code returned: help as it is, errors on one line like all others.
fn parse<C: Parser>() -> Result<C, u8> {
    C::try_parse().map_err(|error| {
        if error.use_stderr() {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
            complain(line.trim_start_matches("error: "));
            USAGE
        } else {
            print(&error.to_string());
            OK
        }
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_command_lines_hold_together() {
        agent::command().debug_assert();
        operator::command().debug_assert();
    }
}
