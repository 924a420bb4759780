//! The plugin and a true agent, by the letter of the CNI specification 1.1.0.

mod attachments;
mod install;
mod mismatches;
mod refusals;

use anyhow::{Result, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    agent::Settings,
    host::{Host, pools},
};

/// One node passes everything.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::once("cni::conformance", conformance)]
}

type Check = fn(&mut Host) -> Result<()>;

const CHECKS: [(&str, Check); 12] = [
    ("versions", attachments::versions),
    ("chains", attachments::chains),
    ("two networks of one pod", attachments::two_networks),
    ("repetition", attachments::repetition),
    ("what is not there", attachments::missing),
    ("GC", attachments::garbage),
    ("CHECK of a result", mismatches::result),
    ("CHECK of the kernel", mismatches::kernel),
    ("an address of another child", refusals::held_address),
    ("bad inputs", refusals::bad_inputs),
    ("install", install::install),
    ("without an agent", refusals::without_agent),
];

fn conformance(bench: &Bench) -> Result<Outcome> {
    let settings = Settings {
        more: format!(
            "[announce]\ntimeout_ms = 100\n[ipam]\ncooldown_seconds = 0\n{}",
            pools(50, 59)
        ),
        ..Settings::default()
    };
    let mut host = Host::start(&bench.programs, &settings)?;
    let before = host.traces()?;
    let mut problems = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(&mut host) {
            problems.push(format!("{name}: {error:#}"));
        }
        let left = before.differences(&host.traces()?);
        problems.extend(left.iter().map(|what| format!("{name} left behind: {what}")));
    }
    host.no_panic()?;
    if let Err(error) = refusals::status(&host) {
        problems.push(format!("STATUS: {error:#}"));
    }
    if let Err(error) = refusals::nothing_stored(&mut host) {
        problems.push(format!("store: {error:#}"));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok(Outcome::Passed)
}
