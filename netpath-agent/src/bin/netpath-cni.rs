//! The CNI plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpath_agent::cni::main().into()
}
