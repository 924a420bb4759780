//! `cargo xtask setup`: makes a fresh machine able to build and test. Every step looks first
//! and does nothing if the thing is there.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::command;
use crate::packages::{self, CLIENTS, GUEST, MUSL, NETWORK};
use crate::progress::step;
use crate::python;
use crate::workspace::{TARGET, TOOLCHAIN, Workspace};

/// 0.10.4 links with the pinned compiler's own LLVM 22; newer ones want another LLVM.
const BPF_LINKER: &str = "0.10.4";

/// Everything.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    toolchain()?;
    // What waits for the network and the disk, while the linker is compiled.
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            packages::install(&[&MUSL[..], &NETWORK, &GUEST, &CLIENTS].concat())?;
            python::programs(workspace)
        });
        linker(workspace)?;
        others.join().map_err(|_| anyhow!("a step of the set-up panicked"))?
    })?;
    step("Set-up complete");
    Ok(())
}

/// The pinned toolchain's parts. `rust-toolchain.toml` names them, but rustup brings them only
/// together with a toolchain that was not installed before.
pub(crate) fn toolchain() -> Result<()> {
    if sysroot().is_err() {
        step(format!("Installing Rust {TOOLCHAIN}"));
        command::run(rustup().args(["toolchain", "install", TOOLCHAIN, "--profile=minimal"]))
            .context("is rustup installed?")?;
    }
    if !sysroot()?.join("lib/rustlib/src/rust/library/core").exists() {
        step(format!("Adding rust-src to Rust {TOOLCHAIN}"));
        command::run(rustup().args(["component", "add", "rust-src", "--toolchain", TOOLCHAIN]))?;
    }
    target(TARGET)
}

/// The standard library for another machine.
pub(crate) fn target(name: &str) -> Result<()> {
    if !sysroot()?.join("lib/rustlib").join(name).join("lib").exists() {
        step(format!("Adding target {name} to Rust {TOOLCHAIN}"));
        command::run(rustup().args(["target", "add", name, "--toolchain", TOOLCHAIN]))?;
    }
    Ok(())
}

/// Where the pinned toolchain is.
fn sysroot() -> Result<PathBuf> {
    let mut rustc = rustup();
    rustc.args(["run", TOOLCHAIN, "rustc", "--print", "sysroot"]);
    Ok(PathBuf::from(command::output(&mut rustc)?.trim()))
}

/// bpf-linker, below the target folder so that nothing of the user's own changes.
pub(crate) fn linker(workspace: &Workspace) -> Result<()> {
    let program = workspace.tools().join("bin/bpf-linker");
    let installed = command::output(Command::new(&program).arg("--version"));
    if installed.is_ok_and(|version| version.trim().ends_with(BPF_LINKER)) {
        return Ok(());
    }
    step(format!("Installing bpf-linker {BPF_LINKER} (about a minute)"));
    let mut install = workspace.cargo();
    install.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--root"]);
    install.arg(workspace.tools());
    // It runs for seconds, and nobody debugs it.
    for setting in ["profile.release.opt-level=1", "profile.release.debug=false"] {
        install.args(["--config", setting]);
    }
    // Flags and folders meant for the workspace's own code.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
        install.env_remove(name);
    }
    command::run(&mut install)
}

fn rustup() -> Command {
    let mut rustup = Command::new("rustup");
    rustup.env_remove("RUSTUP_TOOLCHAIN");
    rustup
}
