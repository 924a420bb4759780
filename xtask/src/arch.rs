//! The machines that programs are built for.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::packages::{self, MUSL, MUSL_ARM64};
use crate::setup;
use crate::workspace::{TARGET, Workspace};

/// A machine, by the name that images give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    /// As images and Debian call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As images tell apart what has the same name.
    pub(crate) fn variant(self) -> Option<&'static str> {
        match self {
            Self::Amd64 => None,
            Self::Arm64 => Some("v8"),
        }
    }

    /// As the compiler calls it, with a C library that can be linked statically.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => TARGET,
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Installs what building for it needs.
    pub(crate) fn prepare(self, workspace: &Workspace) -> Result<()> {
        setup::toolchain()?;
        setup::target(self.target())?;
        setup::linker(workspace)?;
        match self {
            Self::Amd64 => packages::install(&MUSL),
            Self::Arm64 => packages::install(&MUSL_ARM64),
        }
    }

    /// Cargo that builds, tests or checks optimised programs for it. To be called after
    /// [`prepare`](Self::prepare).
    pub(crate) fn cargo(self, workspace: &Workspace, verb: &str) -> Command {
        let mut cargo = workspace.cargo();
        cargo.args([verb, "--release", "--target", self.target()]);
        let name = self.target().replace('-', "_");
        if self == Self::Arm64 {
            // Debian has no musl-gcc for it. What is compiled by this one calls nothing but what every
            // C library has; it is linked with the toolchain's own musl.
            let compiler = "aarch64-linux-gnu-gcc";
            cargo.env(format!("CC_{name}"), compiler);
            cargo.env(format!("CFLAGS_{name}"), "-U_FORTIFY_SOURCE");
            cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), compiler);
        }
        // The same program wherever it is built: messages of panics name source files.
        let flags = format!(
            "--remap-path-prefix={}=/netpath --remap-path-prefix={}=/cargo",
            workspace.root.display(),
            cargo_home().display()
        );
        cargo.env(format!("CARGO_TARGET_{}_RUSTFLAGS", name.to_uppercase()), flags);
        cargo
    }
}

/// Where cargo keeps sources.
fn cargo_home() -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}
