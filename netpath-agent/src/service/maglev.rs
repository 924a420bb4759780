//! Maglev's table (Eisenbud and others, NSDI 2016): every backend has nearly the same share of a table,
//! and keeps nearly all of it when others come and go.

use super::table::BackendKey;
use crate::hash::fnv1a;

/// Sizes of tables: primes, so that every step goes through all places.
const SIZES: [usize; 10] = [251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071];

/// Places that each backend has at least: shares then differ by about one in a hundred.
const SHARE: usize = 100;

/// The table of backends. Where they are the same in the same order, it is the same on every node.
pub(super) fn table(backends: &[BackendKey]) -> Vec<BackendKey> {
    if backends.is_empty() {
        return Vec::new();
    }
    let enough = |size: &usize| *size >= backends.len() * SHARE;
    let size = SIZES.into_iter().find(enough).unwrap_or(SIZES[SIZES.len() - 1]);
    let mut ways: Vec<_> = backends.iter().map(|it| Way::of(it, size)).collect();
    let mut table = vec![None; size];
    let mut free = size;
    while free > 0 {
        for (backend, way) in backends.iter().zip(&mut ways) {
            if free == 0 {
                break;
            }
            while table[way.at].is_some() {
                way.go(size);
            }
            table[way.at] = Some(*backend);
            free -= 1;
        }
    }
    table.into_iter().flatten().collect()
}

/// The order in which a backend asks for places.
struct Way {
    at: usize,
    step: usize,
}

impl Way {
    fn of(backend: &BackendKey, size: usize) -> Self {
        let BackendKey { address, port, protocol } = backend;
        let mut bytes = address.octets.to_vec();
        bytes.extend(port.to_ne_bytes());
        bytes.extend(protocol.to_be_bytes());
        let at = remainder(fnv1a(&bytes), size);
        bytes.push(1);
        Self { at, step: 1 + remainder(fnv1a(&bytes), size - 1) }
    }

    const fn go(&mut self, size: usize) {
        self.at = (self.at + self.step) % size;
    }
}

/// What is left of a hash; sizes are small.
fn remainder(hash: u64, size: usize) -> usize {
    // FNV's low bits are its weak ones.
    usize::try_from((hash ^ hash >> 32) % size as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::resolve::backend, *};
    use crate::service::Protocol;

    fn backends(count: u8) -> Vec<BackendKey> {
        (1..=count).map(|it| backend([10, 0, 1, it].into(), 8080, Protocol::Tcp)).collect()
    }

    #[test]
    fn shares_are_even() {
        for count in [1, 2, 3, 5, 20, 50] {
            let table = table(&backends(count));
            assert!(table.len() >= usize::from(count) * SHARE, "{count}: {}", table.len());
            let mut shares = BTreeMap::<_, usize>::new();
            for backend in &table {
                *shares.entry(backend).or_default() += 1;
            }
            assert_eq!(shares.len(), usize::from(count));
            let (least, most) = (shares.values().min(), shares.values().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{shares:?}");
        }
        assert!(table(&[]).is_empty());
    }

    #[test]
    fn few_flows_move_when_one_backend_goes() {
        let before = backends(20);
        let mut after = before.clone();
        let gone = after.remove(7);
        let (before, after) = (table(&before), table(&after));
        assert_eq!(before.len(), after.len());
        let places = before.iter().zip(&after);
        let moved = places.filter(|(was, is)| was != is && **was != gone).count();
        let share = before.iter().filter(|it| **it == gone).count();
        // Those of the one that went must move; of the others, less than one in ten does.
        assert!(moved * 10 < before.len(), "{moved} of {} moved beside {share}", before.len());
    }

    #[test]
    fn the_same_everywhere() {
        // Known places: another result would break flows while nodes are upgraded.
        let table = table(&backends(3));
        let at = |place: usize| table[place].address.octets[15];
        assert_eq!((table.len(), [0, 1, 2, 100, 250].map(at)), (509, [2, 3, 3, 2, 1]));
    }
}
