//! Runs the sandbox: the reachability table before and after netpath, or the scenarios.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use netpath_tests::sandbox::{
    agent::{Programs, Settings},
    lab::Lab,
    report::Report,
    wait,
};

/// A VPC in network namespaces: router, remote host, two nodes with pods, and the real programs.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Folder of netpath-agent and netpath; by default that of this program.
    #[arg(long, global = true)]
    programs: Option<PathBuf>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show who reaches whom before and after the agents start; exit code 0 if as expected.
    Run {
        /// Keep the sandbox, with a shell on node1, until the shell ends.
        #[arg(long)]
        hold: bool,
        /// MTU of every link, in bytes.
        #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1280..=65535))]
        mtu: u32,
        #[command(flatten)]
        settings: Settings,
        /// Tables for people or one JSON document.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("netpath-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    let Cli { programs, command } = cli;
    wait::handle_interrupts()?;
    let programs = Programs::find(programs.map_or_else(own_folder, Ok)?)?;
    match command {
        Task::Run {
            hold,
            mtu,
            settings,
            output,
        } => {
            let mut lab = Lab::build(&programs, &settings, mtu)?;
            let report = run(&mut lab)?;
            let mut out = io::stdout().lock();
            match output {
                Output::Text => report.write_text(&mut out)?,
                Output::Json => report.write_json(&mut out)?,
            }
            out.flush()?;
            if hold {
                shell(&lab)?;
            }
            Ok(if report.as_expected() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

fn own_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("find the folder of this program")?;
    Ok(own.parent().map(PathBuf::from).unwrap_or_default())
}

fn run(lab: &mut Lab) -> Result<Report> {
    let kernel = nix::sys::utsname::uname()?
        .release()
        .to_string_lossy()
        .into_owned();
    progress("plain ipvlan pods: who reaches whom");
    let before = lab.table_before()?;
    progress("starting netpath-agent on both nodes");
    lab.start_agents()?;
    progress("attaching the pods");
    lab.add_endpoints()?;
    progress("netpath pods: who reaches whom");
    let after = lab.table_after()?;
    let counters = lab.counters()?;
    Ok(Report {
        kernel,
        before,
        after,
        counters,
    })
}

fn progress(step: &str) {
    eprintln!("netpath-sandbox: {step}");
}

/// A shell on node1, where `netpath`, `bpftool` and ping work.
fn shell(lab: &Lab) -> Result<()> {
    let [node, ..] = lab.topology.nodes.as_slice() else {
        return Ok(());
    };
    let socket = &lab.files[0].socket;
    progress(&format!(
        "a shell on node1 (namespaces {}*: ip netns); ends with exit\n  \
         netpath --socket $NETPATH_SOCKET status\n  \
         bpftool map show pinned, below {}",
        lab.topology.prefix,
        lab.files[0].pins.display()
    ));
    let path = env::var("PATH").unwrap_or_default();
    let status = node
        .namespace
        .command("sh")
        .env("NETPATH_SOCKET", socket)
        .env(
            "PATH",
            format!("{}:{path}", lab.programs.folder().display()),
        )
        .status()
        .context("start a shell")?;
    if !status.success() {
        progress(&format!("the shell ended: {status}"));
    }
    Ok(())
}
