//! The user's terminal while a guest has it.

use std::io::stdin;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

use crate::command;
use crate::progress::warn;

/// Settings of the terminal on standard input, restored at the end. QEMU switches it to raw
/// mode and back, unless it is killed.
pub(crate) struct Terminal {
    settings: Termios,
    size: String,
}

impl Terminal {
    pub(crate) fn save() -> Result<Self> {
        let settings = tcgetattr(stdin()).context("standard input is not a terminal")?;
        let mut stty = Command::new("stty");
        stty.arg("size").stdin(Stdio::inherit());
        let size = stty.output().with_context(|| format!("start `{}`", command::line(&stty)))?;
        let size = String::from_utf8_lossy(&size.stdout).trim().to_owned();
        Ok(Self { settings, size })
    }

    /// Rows and columns, separated by a space.
    pub(crate) fn size(&self) -> &str {
        &self.size
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.settings) {
            warn(format!("the terminal could not be restored ({error}): run `reset`"));
        }
    }
}
