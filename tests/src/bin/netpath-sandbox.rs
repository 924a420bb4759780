//! Runs the sandbox: the reachability table before and after netpath, or the scenarios.

use std::{
    env,
    io::{self, Write as _},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use netpath_tests::sandbox::{
    agent::{Programs, Settings},
    churn::outage,
    kernel,
    lab::Lab,
    power, question,
    report::Report,
    scenario::{self, Bench, Effort, Group, Tally},
    server, wait,
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
    /// Run the scenarios; exit code 0 if none failed and at least one ran.
    Test {
        /// Only scenarios whose name contains this.
        #[arg(long, default_value = "")]
        filter: String,
        /// Only those that need a machine of this kind.
        #[arg(long, value_enum)]
        group: Option<Group>,
        /// Print the names and stop.
        #[arg(long)]
        list: bool,
        #[command(flatten)]
        effort: Effort,
        /// The Ethernet address of a NIC that scenarios may take; given twice, of two on one wire.
        #[arg(long = "nic", value_name = "MAC")]
        nics: Vec<String>,
    },
    /// Write to a disk until the power fails; for guests.
    Power {
        /// A folder on the disk.
        folder: PathBuf,
        /// An agent does, and pods come and go; else this program alone.
        #[arg(long)]
        agent: bool,
        /// What the choices follow from.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Answer echo requests where this program is, until it is ended; for containers.
    Serve,
    /// Ask addresses by every protocol and print the answers as JSON; for containers.
    Ask {
        /// Who is asked.
        #[arg(required = true)]
        targets: Vec<IpAddr>,
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
    let programs = || Programs::find(programs.map_or_else(own_folder, Ok)?);
    match command {
        Task::Run { hold, mtu, settings, output } => {
            let mut lab = Lab::build(&programs()?, &settings, mtu)?;
            let report = run(&mut lab)?;
            let mut out = io::stdout();
            match output {
                Output::Text => report.write_text(&mut out)?,
                Output::Json => report.write_json(&mut out)?,
            }
            if hold {
                shell(&lab)?;
            }
            Ok(exit_code(report.as_expected()))
        }
        Task::Test { filter, group, list, effort, nics } => {
            let mut scenarios = scenario::matching(&filter);
            scenarios.retain(|scenario| group.is_none_or(|group| scenario.group() == group));
            if list {
                for scenario in &scenarios {
                    println!("{}", scenario.name());
                }
                return Ok(ExitCode::SUCCESS);
            }
            let bench = Bench { programs: programs()?, effort, nics };
            let Tally { passed, failed, ignored: _ } =
                scenario::run(&scenarios, &bench, &mut io::stdout())?;
            // With a filter, a kernel on which nothing is left to run is no failure.
            Ok(exit_code(failed == 0 && (passed > 0 || !filter.is_empty())))
        }
        Task::Power { folder, agent, seed } => {
            if agent {
                outage::run(&programs()?, &folder, seed)?;
            } else {
                power::write(&folder)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Serve => {
            server::serve_here(|| {
                println!("ready");
                io::stdout().flush().context("say that it is ready")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Ask { targets } => {
            println!("{}", serde_json::to_string(&question::ask(&targets)?)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn own_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("find the folder of this program")?;
    Ok(own.parent().map(PathBuf::from).unwrap_or_default())
}

fn run(lab: &mut Lab) -> Result<Report> {
    progress("plain ipvlan pods: who reaches whom");
    let before = lab.table_before()?;
    progress("starting netpath-agent on both nodes");
    lab.start_agents()?;
    progress("attaching the pods");
    lab.add_endpoints()?;
    progress("netpath pods: who reaches whom");
    let after = lab.table_after()?;
    let counters = lab.counters()?;
    Ok(Report { kernel: kernel::release()?, before, after, counters })
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
        .env("PATH", format!("{}:{path}", lab.programs.folder().display()))
        .status()
        .context("start a shell")?;
    if !status.success() {
        progress(&format!("the shell ended: {status}"));
    }
    Ok(())
}
