//! The operator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpath_agent::cli::operator::main().into()
}
