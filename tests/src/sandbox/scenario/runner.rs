//! Running scenarios one after another.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow};

use super::{Bench, Outcome, Run, Scenario};
use crate::sandbox::{agent::Settings, lab::Lab, wait};

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

/// A lab that several scenarios use.
struct Shared {
    settings: Settings,
    mtu: u32,
    lab: Lab,
}

/// Runs scenarios and goes on when one fails. The last line is the tally.
pub fn run(scenarios: &[Scenario], bench: &Bench, out: &mut impl Write) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut shared = None;
    for scenario in scenarios {
        wait::check_interrupt()?;
        write!(out, "test {} ... ", scenario.name)?;
        out.flush()?;
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| one(scenario, bench, &mut shared)))
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
                // What failed may have left anything: the next one gets a new lab.
                shared = None;
                writeln!(out, "FAILED ({seconds:.1} s)\n  {error:#}")?;
            }
        }
    }
    drop(shared);
    let Tally { passed, failed, ignored } = tally;
    writeln!(out, "{passed} passed, {failed} failed, {ignored} ignored")?;
    Ok(tally)
}

fn one(scenario: &Scenario, bench: &Bench, shared: &mut Option<Shared>) -> Result<Outcome> {
    match &scenario.run {
        Run::Own(run) => run(bench),
        Run::Shared(settings, mtu, run) => {
            if shared.as_ref().is_none_or(|have| have.settings != *settings || have.mtu != *mtu) {
                // The old one goes first: a guest's memory is small.
                *shared = None;
                let lab = Lab::ready(&bench.programs, settings, *mtu).context("make the lab")?;
                *shared = Some(Shared { settings: settings.clone(), mtu: *mtu, lab });
            }
            let Shared { lab, .. } = shared.as_ref().context("no lab")?;
            run(lab, bench.effort)
        }
    }
}
