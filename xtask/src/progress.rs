//! Progress for people, on standard error: standard output belongs to results.

use std::fmt::Display;
use std::io::{IsTerminal as _, stderr};

/// Announces a step that may take a while.
pub(crate) fn step(message: impl Display) {
    if stderr().is_terminal() {
        eprintln!("\x1b[1;34m==>\x1b[0m {message}");
    } else {
        eprintln!("==> {message}");
    }
}

/// Says something that the user may have to act on.
pub(crate) fn warn(message: impl Display) {
    if stderr().is_terminal() {
        eprintln!("\x1b[1;33mwarning:\x1b[0m {message}");
    } else {
        eprintln!("warning: {message}");
    }
}
