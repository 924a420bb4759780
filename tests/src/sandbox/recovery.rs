//! How long it takes until everybody answers again.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{namespace::Namespace, probe::Pinger, together::together};

/// How long it is waited for, so that the figure of what falls short is known.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two questions to the same address: an emulated guest needs that long for many of them.
const PACE: Duration = Duration::from_millis(500);

/// Asks all addresses from one place until each has answered. Returns how long that took.
pub fn all_answer(from: &Namespace, addresses: &[IpAddr]) -> Result<Duration> {
    let start = Instant::now();
    let open = || addresses.iter().map(|address| Ok((*address, Pinger::open(*address)?))).collect();
    let pingers: Vec<(IpAddr, Pinger)> = from.enter(open)?;
    let asks = pingers
        .into_iter()
        .map(|(address, pinger)| move || (!answers(pinger, start)).then_some(address));
    let silent: Vec<IpAddr> = together(asks)?.into_iter().flatten().collect();
    let time = start.elapsed();
    ensure!(silent.is_empty(), "no answer after {} s: {silent:?}", time.as_secs());
    Ok(time)
}

fn answers(mut pinger: Pinger, start: Instant) -> bool {
    while start.elapsed() < PATIENCE {
        let asked = Instant::now();
        if pinger.ping(56, PACE).is_ok() {
            return true;
        }
        // An error that comes at once, such as an unreachable host, is no reason to hurry.
        thread::sleep(PACE.saturating_sub(asked.elapsed()));
    }
    false
}
