//! `cargo xtask test`: every tier of tests, with counts of what really ran.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::command;
use crate::kernel::{Kernel, Series};
use crate::machine::{Channel, Machine};
use crate::packages::{self, GUEST, NETWORK};
use crate::progress::step;
use crate::run::guest_programs;
use crate::setup;
use crate::tally::{Counter, Tally};
use crate::workspace::Workspace;

/// The test target that feeds single packets to the programs in the running kernel.
const PROG: &str = "prog";
/// All scenarios on one kernel, emulated.
const LIMIT: Duration = Duration::from_mins(30);
/// The longest scenario takes a minute or two, and prints at its end.
const SILENCE: Duration = Duration::from_mins(6);

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
#[command(after_help = "Tiers:
  unit        everything that needs neither root nor a certain kernel
  prog        single packets through the programs, in the running kernel (BPF_PROG_TEST_RUN)
  scenario    whole nodes, routers and pods, in a guest per kernel

Examples:
  cargo xtask test                                     everything
  cargo xtask test --kernel 6.1                        the scenarios on 6.1
  cargo xtask test --kernel 6.1 --filter nodeport      those with nodeport in their names
  cargo xtask test --filter arp                        in every tier, those with arp")]
pub(crate) struct Args {
    /// Only the scenarios, on this kernel; may be repeated.
    #[arg(long = "kernel", value_name = "KERNEL")]
    kernels: Vec<Series>,
    /// Only tests whose names contain this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What came of one tier.
#[derive(Debug)]
struct Tier {
    name: String,
    tally: Tally,
    failures: Vec<String>,
    elapsed: Duration,
    /// Why the tier is bad although no test says so.
    problem: Option<String>,
}

/// Runs the tiers; exit status 0 if all is well.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let mut tiers = Vec::new();
    let mut kernels = args.kernels.clone();
    if kernels.is_empty() {
        kernels.extend(Series::ALL);
        setup::toolchain()?;
        setup::linker(workspace)?;
        packages::install(&NETWORK)?;
        tiers.push(tier("unit", |counter| unit(workspace, args, counter)));
        tiers.push(tier(PROG, |counter| prog(workspace, args, counter)));
    }
    kernels.sort();
    kernels.dedup();
    tiers.extend(scenarios(workspace, args, &kernels)?);
    Ok(i32::from(!report(&tiers, args.filter.is_some())))
}

/// Runs one tier and counts what it prints. Its failure is part of the result: the tiers
/// after it run all the same.
fn tier(name: &str, body: impl FnOnce(&mut Counter) -> Result<bool>) -> Tier {
    step(format!("Tests: {name}"));
    let start = Instant::now();
    let prefix = if name.contains(' ') { format!("[{name}] ") } else { String::new() };
    let mut counter = Counter::new(Box::new(io::stdout()), &prefix);
    let ended = body(&mut counter);
    let counts = counter.finish().context("print the output");
    let (problem, (tally, failures)) = match (ended, counts) {
        (Ok(well), Ok((tally, failures))) => {
            // A runner may call it a failure that the filter left nothing to run.
            let explained = well || tally.is_some_and(|tally| tally.failed > 0 || tally.is_empty());
            let problem = "ended in failure without a failed test";
            ((!explained).then(|| problem.to_owned()), (tally, failures))
        }
        (Err(error), Ok(seen)) => (Some(format!("{error:#}")), seen),
        (_, Err(error)) => (Some(format!("{error:#}")), (None, Vec::new())),
    };
    let tally = tally.unwrap_or_default();
    Tier { name: name.to_owned(), tally, failures, elapsed: start.elapsed(), problem }
}

fn unit(workspace: &Workspace, args: &Args, counter: &mut Counter) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-fail-fast", "--lib", "--bins"]);
    for target in integration_tests(workspace)? {
        cargo.args(["--test", &target]);
    }
    let targets = cargo_test(cargo, args, counter)?;
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--no-fail-fast", "--doc"]);
    let examples = cargo_test(cargo, args, counter)?;
    Ok(targets && examples)
}

fn prog(workspace: &Workspace, args: &Args, counter: &mut Counter) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "-p", "netpath-tests", "--test", PROG]);
    if !command::is_root() {
        cargo.args(["--config", r#"target."cfg(unix)".runner = "sudo -E""#]);
    }
    cargo_test(cargo, args, counter)
}

/// Runs `cargo test` with our filter, its output through the counter.
fn cargo_test(mut cargo: Command, args: &Args, counter: &mut Counter) -> Result<bool> {
    cargo.args(&args.filter).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = cargo.spawn().with_context(|| format!("start `{}`", command::line(&cargo)))?;
    if let Some(mut stdout) = child.stdout.take() {
        io::copy(&mut stdout, counter).context("read the output of cargo test")?;
    }
    Ok(child.wait().context("wait for cargo test")?.success())
}

/// Integration tests of the default members, but the one that needs root.
fn integration_tests(workspace: &Workspace) -> Result<Vec<String>> {
    let mut cargo = workspace.cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&command::output(&mut cargo)?)
        .context("parse the output of cargo metadata")?;
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let targets = packages.iter().flat_map(|package| list(&package["targets"]));
    let tests = targets.filter(|target| target["kind"][0] == "test");
    let names = tests.filter_map(|target| target["name"].as_str().map(str::to_owned));
    Ok(names.filter(|name| name != PROG).collect())
}

/// Runs the scenarios on each kernel, as many guests at once as there are processors: one
/// guest keeps one busy.
fn scenarios(workspace: &Workspace, args: &Args, kernels: &[Series]) -> Result<Vec<Tier>> {
    packages::install(&NETWORK)?;
    packages::install(&GUEST)?;
    let programs = build::programs(workspace)?;
    build::init(workspace)?;
    for series in kernels {
        Kernel::get(workspace, *series)?;
    }
    let waiting = Mutex::new(kernels.iter());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok()?.next().copied();
    let work = || {
        while let Some(series) = next() {
            let tier = tier(&format!("scenario {series}"), |counter| {
                scenario(workspace, args, series, &programs, counter)
            });
            if let Ok(mut done) = done.lock() {
                done.push((series, tier));
            }
        }
    };
    let jobs = thread::available_parallelism().map_or(1, usize::from).min(kernels.len());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let Ok(mut done) = done.into_inner() else { bail!("a tier of tests panicked") };
    done.sort_by_key(|(series, _)| *series);
    Ok(done.into_iter().map(|(_, tier)| tier).collect())
}

fn scenario(
    workspace: &Workspace,
    args: &Args,
    series: Series,
    programs: &Path,
    counter: &mut Counter,
) -> Result<bool> {
    let mut command = vec!["netpath-sandbox".to_owned(), "test".to_owned()];
    if let Some(filter) = &args.filter {
        command.extend(["--filter".to_owned(), filter.clone()]);
    }
    let mut machine = Machine::new(series, command);
    machine.files = guest_programs(programs);
    machine.timeout = LIMIT;
    machine.silence = SILENCE;
    Ok(machine.run(workspace, Channel::Output(counter))?.exit == 0)
}

/// Prints the closing table; whether all is well.
fn report(tiers: &[Tier], filtered: bool) -> bool {
    let mut total = Tally::default();
    let mut well = true;
    println!("\n{:<16} {:>7} {:>7} {:>8}", "tier", "passed", "failed", "seconds");
    for tier in tiers {
        let Tally { passed, failed } = tier.tally;
        println!("{:<16} {passed:>7} {failed:>7} {:>8.1}", tier.name, tier.elapsed.as_secs_f64());
        total.add(tier.tally);
        let empty = (tier.tally.is_empty() && !filtered).then(|| "ran nothing".to_owned());
        if let Some(problem) = tier.problem.as_ref().or(empty.as_ref()) {
            println!("  error: {problem}");
            well = false;
        }
        for name in &tier.failures {
            println!("  failed: {name}");
        }
    }
    if total.is_empty() {
        println!("error: no test ran");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    well && total.failed == 0 && total.passed > 0
}
