//! The dataplane's counters, as `netpath counters -o json` prints them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One counter.
#[derive(Clone, Debug, Deserialize)]
pub struct Counter {
    /// egress, ingress or xdp.
    pub hook: String,
    /// The path taken.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Packets; a GSO packet counts once.
    pub packets: u64,
    /// Bytes with the link layer header.
    pub bytes: u64,
}

/// Packets dropped, by reason.
#[must_use]
pub fn drops(counters: &[Counter]) -> BTreeMap<&str, u64> {
    let mut drops = BTreeMap::new();
    for counter in counters.iter().filter(|counter| counter.path == "drop") {
        *drops.entry(counter.reason.as_str()).or_default() += counter.packets;
    }
    drops
}

/// What was added to `before` to get `after`, by reason; nothing for what did not move.
#[must_use]
pub fn moved<'a>(
    before: &BTreeMap<&str, u64>,
    after: &BTreeMap<&'a str, u64>,
) -> BTreeMap<&'a str, u64> {
    after
        .iter()
        .map(|(&reason, &packets)| {
            (reason, packets.saturating_sub(before.get(reason).copied().unwrap_or_default()))
        })
        .filter(|&(_, packets)| packets > 0)
        .collect()
}

/// Packets and bytes of one path over all hooks and reasons.
#[must_use]
pub fn of_path(counters: &[Counter], path: &str) -> (u64, u64) {
    counters
        .iter()
        .filter(|counter| counter.path == path)
        .fold((0, 0), |(packets, bytes), counter| {
            (packets + counter.packets, bytes + counter.bytes)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(path: &str, reason: &str, packets: u64) -> Counter {
        let [hook, path, reason] = ["egress", path, reason].map(ToOwned::to_owned);
        Counter { hook, path, reason, packets, bytes: packets * 100 }
    }

    #[test]
    fn only_drops_that_moved() {
        let before = [counter("drop", "malformed", 2), counter("local", "endpoint", 7)];
        let after = [
            counter("drop", "malformed", 2),
            counter("drop", "source-mac", 1),
            counter("drop", "source-mac", 2),
            counter("local", "endpoint", 9),
        ];
        let moved = moved(&drops(&before), &drops(&after));
        assert_eq!(moved, BTreeMap::from([("source-mac", 3)]));
        assert_eq!(of_path(&after, "local"), (9, 900));
    }
}
