//! Where things are, and how cargo is started from inside cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// The compiler that builds both halves; `rust-toolchain.toml` says the same.
pub(crate) const TOOLCHAIN: &str = "1.95.0";
/// Static programs run on any host and in an initramfs.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The repository's root and its target folder.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and configuration files count.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask has no parent folder")?.to_owned();
        let mut metadata = cargo(&root);
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: serde_json::Value = serde_json::from_str(&command::output(&mut metadata)?)
            .context("parse the output of cargo metadata")?;
        let target = metadata["target_directory"].as_str().context("no target_directory")?;
        Ok(Self { root, target: target.into() })
    }

    /// Programs that the build needs, installed below the target folder.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Cargo in the workspace, with the build's tools on PATH.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo(&self.root);
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.tools().join("bin")].into_iter().chain(env::split_paths(&path));
        if let Ok(path) = env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
    }
}

/// Cargo without what the outer `cargo run` told only this process: its package's variables,
/// its libraries, and its toolchain, which `rust-toolchain.toml` decides again.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    for name in ["CARGO", "LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"] {
        command.env_remove(name);
    }
    command
}
