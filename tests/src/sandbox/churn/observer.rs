//! Which pod has which address, as the kernel says.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    ifaddrs::getifaddrs,
    sched::{CloneFlags, setns},
};

use crate::sandbox::namespace::NAMES;

/// Between two looks: less than an address's cool-down.
const PACE: Duration = Duration::from_millis(200);

/// Looks into all namespaces whose names start with `prefix`, again and again until `stop`. An
/// address that two of them have is an error. To be run on a thread of its own, which it leaves in
/// one of them. Returns how often it looked.
pub fn watch(prefix: &str, stop: &AtomicBool) -> Result<u64> {
    let mut looks = 0;
    let mut suspects = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let held = look(prefix)?;
        let twice: Vec<_> = held.into_iter().filter(|(_, pods)| pods.len() > 1).collect();
        // A look takes time, in which an address may have moved on: the next one tells.
        let still: Vec<_> = twice.iter().filter(|held| suspects.contains(*held)).collect();
        ensure!(still.is_empty(), "addresses that two pods have: {still:?}");
        suspects = twice;
        looks += 1;
        // Looking without a pause would take the processor from those who are looked at.
        thread::sleep(PACE);
    }
    Ok(looks)
}

fn look(prefix: &str) -> Result<BTreeMap<IpAddr, Vec<String>>> {
    let mut held = BTreeMap::<_, Vec<_>>::new();
    for entry in fs::read_dir(NAMES).with_context(|| format!("list {NAMES}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(prefix) {
            continue;
        }
        // It may be gone, or not be mounted yet.
        let Ok(file) = File::open(entry.path()) else { continue };
        if setns(&file, CloneFlags::CLONE_NEWNET).is_err() {
            continue;
        }
        for address in addresses()? {
            held.entry(address).or_default().push(name.clone());
        }
    }
    Ok(held)
}

/// The addresses of the calling thread's namespace, but loopback's.
pub(super) fn addresses() -> Result<Vec<IpAddr>> {
    let all = getifaddrs().context("list addresses")?;
    let addresses = all.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or(address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok(addresses.filter(|address| !address.is_loopback()).collect())
}
