//! What a process costs.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::wait;

const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for a pause in which the process takes less than a twentieth of a processor.
pub fn idle(id: u32, pause: Duration) -> Result<()> {
    let mut last = (processor_time(id)?, Instant::now());
    wait::until("the agent is idle", PATIENCE, || {
        let (time, since) = last;
        let elapsed = since.elapsed();
        if elapsed < pause {
            return Ok(None);
        }
        let now = processor_time(id)?;
        last = (now, Instant::now());
        Ok((now.saturating_sub(time) < elapsed / 20).then_some(()))
    })
}

/// Processor time of all threads that the process has and had.
pub fn processor_time(id: u32) -> Result<Duration> {
    // The unit of /proc on every architecture that we know: USER_HZ is 100.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name before is in brackets and may hold anything: the state follows, which is field 3.
    let (_, fields) = stat.rsplit_once(") ").context("stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * ticks.sum::<Result<u32, _>>().context("stat")?)
}

/// Resident memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What the process has.
    pub now: u64,
    /// The most that it had.
    pub highest: u64,
}

impl Memory {
    /// That of a process.
    pub fn of(id: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .with_context(|| format!("no {name} in the status of {id}"))
        };
        Ok(Self { now: field("VmRSS:")?, highest: field("VmHWM:")? })
    }
}
