//! A pool without a free address says so, and goes on as soon as there is one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    agent::Settings,
    host::{Host, addresses, interfaces, pools},
    wait,
};

/// One scenario.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::once("ipam::exhausted", exhausted)]
}

const EXHAUSTED: u64 = 100;
/// How long an address rests, in seconds.
const COOLDOWN: u64 = 2;
/// Times are kept in whole seconds.
const GRACE: Duration = Duration::from_secs(2);

fn exhausted(bench: &Bench) -> Result<Outcome> {
    let more = format!(
        "[announce]\nprobe = false\n[ipam]\ncooldown_seconds = {COOLDOWN}\n{}",
        pools(70, 71)
    );
    let host = Host::start(&bench.programs, &Settings { more, ..Settings::default() })?;
    let [a, b, c] = ["a", "b", "c"].map(|name| host.sandbox(name));
    let (a, b, c) = (a?, b?, c?);
    host.add(&a)?.answer()?;
    let second = host.add(&b)?.answer()?;

    let full = host.traces()?;
    let outcome = host.add(&c)?;
    outcome.refusal(EXHAUSTED, "pool four (10.0.1.0/24)")?;
    outcome.refusal(EXHAUSTED, "size 2, used 2")?;
    outcome.refusal(EXHAUSTED, "cooling down 0")?;
    eprintln!("{}", outcome.error()?.1);
    let left = full.differences(&host.traces()?);
    ensure!(left.is_empty(), "left behind: {}", left.join("\n  "));
    ensure!(interfaces(&c)? == ["lo"], "left: {:?}", interfaces(&c)?);

    host.del(&a)?;
    let start = Instant::now();
    let outcome = host.add(&c)?;
    outcome.refusal(EXHAUSTED, "size 2, used 1")?;
    outcome.refusal(EXHAUSTED, "cooling down 1")?;
    eprintln!("{}", outcome.error()?.1);
    wait::until("an address has cooled down", Duration::from_secs(COOLDOWN) + GRACE, || {
        let outcome = host.add(&c)?;
        if outcome.status == Some(0) {
            return Ok(Some(()));
        }
        outcome.refusal(EXHAUSTED, "cooling down 1").map(|()| None)
    })?;
    eprintln!("free again after {} ms", start.elapsed().as_millis());

    // The operator need not wait.
    host.del(&b)?;
    host.add(&a)?.refusal(EXHAUSTED, "cooling down 1")?;
    for address in addresses(&second)? {
        host.agent().netpath(&["ipam", "release", &address.to_string()])?;
    }
    host.add(&a)?.answer()?;
    host.del(&a)?;
    host.del(&c)?;
    Ok(Outcome::Passed)
}
