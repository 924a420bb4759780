//! netpath's workshop: set-up, builds, sandboxes, tests and measurements.

mod arch;
mod archive;
mod bench;
mod build;
mod command;
mod console;
mod cpio;
mod disk;
mod image;
mod kernel;
mod machine;
mod manifests;
mod modules;
mod packages;
mod power;
mod progress;
mod python;
mod qemu;
mod rootfs;
mod run;
mod scenario;
mod setup;
mod tally;
mod terminal;
mod test;
mod userland;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what building and testing need; every other task does its part of it by itself.
    Setup,
    /// Build the programs: release, static.
    Build,
    /// Make a container image of the programs, without a daemon.
    Image(image::Args),
    /// Render the Helm chart into the plain manifests of deploy/.
    Manifests(manifests::Args),
    /// Run a command or a shell in a QEMU guest with a Debian kernel.
    Vm(vm::Args),
    /// Run the sandbox: who reaches whom before and after netpath, and by which path.
    Run(run::Args),
    /// Run all tests: unit tests, single packets, and scenarios on every kernel.
    Test(test::Args),
    /// Measure what the dataplane costs.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        // The exit status of a command that ran elsewhere; statuses are one byte.
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<i32> {
    let workspace = Workspace::find()?;
    match task {
        Task::Setup => setup::all(&workspace).map(|()| 0),
        Task::Build => {
            println!("{}", build::programs(&workspace)?.display());
            Ok(0)
        }
        Task::Image(args) => image::main(&workspace, &args),
        Task::Manifests(args) => manifests::main(&workspace, &args),
        Task::Vm(args) => vm::main(&workspace, args),
        Task::Run(args) => run::main(&workspace, &args),
        Task::Test(args) => test::main(&workspace, &args),
        Task::Bench(args) => bench::main(&workspace, &args),
    }
}
