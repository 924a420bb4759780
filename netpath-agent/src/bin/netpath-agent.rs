//! The daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpath_agent::cli::agent::main().into()
}
