//! Scenarios: what real programs must do in the sandbox, each in a sandbox of its own.

mod bad_input;
mod cleanup;
mod inspect;
mod restart;
mod service;
mod spoof;
mod table;
mod transfer;

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::{Result, anyhow};
use clap::Args;

use super::{agent::Programs, wait};

/// What all scenarios are given.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The programs under test.
    pub programs: Programs,
    /// How much the scenarios do.
    pub effort: Effort,
}

/// How much the scenarios do.
#[derive(Clone, Copy, Debug, Args)]
pub struct Effort {
    /// Size of a TCP transfer, in megabytes (1,000,000 bytes).
    #[arg(long, default_value_t = 200)]
    pub megabytes: u64,
}

/// How a scenario ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything as expected.
    Passed,
    /// This machine lacks what it needs.
    Ignored(String),
}

type Run = Box<dyn Fn(&Bench) -> Result<Outcome>>;

/// A named test.
pub struct Scenario {
    name: String,
    run: Run,
}

impl Scenario {
    fn new(name: impl Into<String>, run: impl Fn(&Bench) -> Result<Outcome> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// The name that filters match.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Every scenario whose name contains `filter`.
#[must_use]
pub fn matching(filter: &str) -> Vec<Scenario> {
    let mut all = [
        table::scenarios(),
        transfer::scenarios(),
        restart::scenarios(),
        cleanup::scenarios(),
        spoof::scenarios(),
        bad_input::scenarios(),
        service::scenarios(),
        inspect::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.retain(|scenario| scenario.name.contains(filter));
    all
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Everything as expected.
    pub passed: u32,
    /// Something was not.
    pub failed: u32,
    /// Not possible on this machine.
    pub ignored: u32,
}

/// Runs scenarios one after another, and goes on when one fails. The last line is the tally.
pub fn run(scenarios: &[Scenario], bench: &Bench, out: &mut impl Write) -> Result<Tally> {
    let mut tally = Tally::default();
    for Scenario { name, run } in scenarios {
        wait::check_interrupt()?;
        write!(out, "test {name} ... ")?;
        out.flush()?;
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(bench)))
            .unwrap_or_else(|_| Err(anyhow!("panicked")));
        let seconds = start.elapsed().as_secs_f32();
        match outcome {
            Ok(Outcome::Passed) => {
                tally.passed += 1;
                writeln!(out, "ok ({seconds:.1} s)")?;
            }
            Ok(Outcome::Ignored(why)) => {
                tally.ignored += 1;
                writeln!(out, "ignored ({why})")?;
            }
            Err(error) => {
                tally.failed += 1;
                writeln!(out, "FAILED ({seconds:.1} s)\n  {error:#}")?;
            }
        }
    }
    let Tally { passed, failed, ignored } = tally;
    writeln!(out, "{passed} passed, {failed} failed, {ignored} ignored")?;
    Ok(tally)
}
