//! `cargo xtask test`: every tier of tests, with counts of what really ran.

use std::io;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::build;
use crate::command;
use crate::kernel::Series;
use crate::packages::{self, CLIENTS, NETWORK};
use crate::progress::step;
use crate::scenario;
use crate::setup;
use crate::tally::{Counter, Failure, Tally};
use crate::workspace::Workspace;

/// The test targets that need root, each a tier.
const ROOT: [&str; 6] = ["prog", "announce", "nftables", "replace", "services", "sockets"];

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
#[command(after_help = "Tiers:
  unit        everything that needs neither root nor a certain kernel
  prog        single packets through the programs, in the running kernel (BPF_PROG_TEST_RUN)
  announce    address probes and announcements between two namespaces, in the running kernel
  nftables    the table that masquerades, written and read in a namespace, in the running kernel
  native      whole nodes with every attachment that needs no ipvlan, in the running kernel
  replace     programs replaced at their hooks under 20,000 packets a second, in the running kernel
  services    the tables of Services, in the running kernel
  sockets     Services at sockets, by a process of its own: in the running kernel, and in a guest per
              kernel
  scenario    whole nodes, routers and pods, in a guest per kernel
  runtime     scenarios with containerd and podman, in guests with Debian's, on 6.1 and 6.12
  cost        instructions per round trip within their limits, in a guest that counts them, on 6.12
  power       guests that lose their power while they, or an agent, write to a disk, on 6.12

Examples:
  cargo xtask test                                     everything
  cargo xtask test --kernel 6.1                        the scenarios on 6.1
  cargo xtask test --kernel 6.1 --filter nodeport      those with nodeport in their names
  cargo xtask test --filter arp                        in every tier, those with arp
  cargo xtask test --kernel 6.12 --filter power:: --cuts 20")]
pub(crate) struct Args {
    /// Only the scenarios, on this kernel; may be repeated.
    #[arg(long = "kernel", value_name = "KERNEL")]
    pub(crate) kernels: Vec<Series>,
    /// Only tests whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// What random choices follow from: a seed that was printed repeats them.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// How often each test with power cuts has one; each costs a boot.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub(crate) cuts: u32,
}

/// What came of one tier.
#[derive(Debug)]
pub(crate) struct Tier {
    name: String,
    tally: Tally,
    failures: Vec<Failure>,
    elapsed: Duration,
    /// Why the tier is bad although no test says so.
    problem: Option<String>,
}

/// Runs the tiers; exit status 0 if all is well.
pub(crate) fn main(workspace: &Workspace, args: &Args) -> Result<i32> {
    let mut tiers = Vec::new();
    if args.kernels.is_empty() {
        setup::toolchain()?;
        setup::linker(workspace)?;
        packages::install(&NETWORK)?;
        packages::install(&CLIENTS)?;
        // All at once, which keeps every processor busy: each tier would wait for its own.
        step("Building the tests");
        command::run(workspace.cargo().args(["test", "--no-run", "--tests"]))?;
        thread::scope(|scope| {
            // These tests mostly wait, for no fractions of a second: meanwhile guests' first program is
            // compiled. If that fails, it is tried again when it is needed.
            if args.filter.is_none() {
                scope.spawn(|| build::next_agent(workspace));
            }
            tiers.push(tier("unit", |counter| unit(workspace, args, counter)));
        });
        tiers.extend(
            ROOT.map(|target| tier(target, |counter| root(workspace, target, args, counter))),
        );
    }
    tiers.extend(scenario::tiers(workspace, args)?);
    Ok(i32::from(!report(&tiers, args.filter.is_some())))
}

/// Runs one tier and counts what it prints. Its failure is part of the result: the tiers
/// after it run all the same.
pub(crate) fn tier(name: &str, body: impl FnOnce(&mut Counter) -> Result<bool>) -> Tier {
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

fn root(workspace: &Workspace, target: &str, args: &Args, counter: &mut Counter) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "-p", "netpath-tests", "--test", target]);
    if !command::is_root() {
        cargo.args(["--config", r#"target."cfg(unix)".runner = "sudo -E""#]);
    }
    cargo_test(cargo, args, counter)
}

/// Runs `cargo test` with our filter, its output through the counter.
fn cargo_test(mut cargo: Command, args: &Args, counter: &mut Counter) -> Result<bool> {
    cargo.args(&args.filter);
    command::pass_on(cargo, counter)
}

/// Integration tests of the default members, but those that need root.
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
    Ok(names.filter(|name| !ROOT.contains(&name.as_str())).collect())
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
        for Failure { name, why } in &tier.failures {
            println!("  failed: {name}");
            for line in why {
                println!("    {line}");
            }
        }
    }
    if total.is_empty() {
        println!("error: no test ran");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    well && total.failed == 0 && total.passed > 0
}
