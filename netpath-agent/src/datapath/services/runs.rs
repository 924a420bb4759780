//! Which slots are free.
//!
//! Runs are as long as their lists: the shortest free range that is long enough gives one, and what
//! becomes free joins its neighbours. Lists keep their lengths, or come back to them, so ranges of those
//! lengths are found again for days, where powers of two would leave up to half of the slots unused.

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::Run;

/// Free slots, and those that programs may still read.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Lengths of the free ranges, by their first slots. No two of them touch.
    free: BTreeMap<u32, u32>,
    /// The same ranges by length and first slot.
    lengths: BTreeSet<(u32, u32)>,
    /// Slots in them.
    count: u32,
    /// Runs that no Service leads to any more.
    retired: Vec<Run>,
    /// Slots in those.
    retired_count: u32,
}

impl Runs {
    /// Has these slots free.
    pub(super) fn new(slots: Run) -> Self {
        let mut runs = Self::default();
        runs.free(slots);
        runs
    }

    /// Slots that are free.
    pub(super) const fn free_count(&self) -> u32 {
        self.count
    }

    /// Slots that become free by and by.
    pub(super) const fn retired_count(&self) -> u32 {
        self.retired_count
    }

    /// As many slots in a row as asked for.
    pub(super) fn allocate(&mut self, count: u32) -> Option<Run> {
        let (length, first) = *self.lengths.range((count, 0)..).next()?;
        self.cut(first, length, Run { first, count });
        Some(Run { first, count })
    }

    /// Takes a run that somebody has already. `false` if not all of it is free.
    pub(super) fn take(&mut self, run: Run) -> bool {
        let Some((first, length)) = self.free.range(..=run.first).next_back() else { return false };
        let (first, length) = (*first, *length);
        let fits = run.first.checked_add(run.count).is_some_and(|end| end <= first + length);
        if fits {
            self.cut(first, length, run);
        }
        fits
    }

    /// Frees a run that no program ever read, or none reads any more.
    pub(super) fn free(&mut self, run: Run) {
        let Run { mut first, count } = run;
        let mut length = count;
        self.count += count;
        if let Some(after) = self.free.get(&(first + length)).copied() {
            self.remove(first + length, after);
            length += after;
        }
        if let Some((before, gap)) = self.free.range(..first).next_back()
            && before + gap == first
        {
            let (before, gap) = (*before, *gap);
            self.remove(before, gap);
            first = before;
            length += gap;
        }
        self.insert(first, length);
    }

    /// Frees a run once [`reclaim`](Self::reclaim) is called.
    pub(super) fn retire(&mut self, run: Run) {
        self.retired_count += run.count;
        self.retired.push(run);
    }

    /// Frees what was retired: no program reads it any more.
    pub(super) fn reclaim(&mut self) {
        self.retired_count = 0;
        for run in std::mem::take(&mut self.retired) {
            self.free(run);
        }
    }

    /// Cuts a run out of a free range.
    fn cut(&mut self, first: u32, length: u32, run: Run) {
        self.remove(first, length);
        self.insert(first, run.first - first);
        let end = run.first + run.count;
        self.insert(end, first + length - end);
        self.count -= run.count;
    }

    fn insert(&mut self, first: u32, length: u32) {
        if length > 0 {
            self.free.insert(first, length);
            self.lengths.insert((length, first));
        }
    }

    fn remove(&mut self, first: u32, length: u32) {
        self.free.remove(&first);
        self.lengths.remove(&(length, first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Run = Run { first: 1, count: 1000 };

    #[test]
    fn what_is_freed_joins_its_neighbours() {
        let mut runs = Runs::new(ALL);
        let taken: Vec<_> = (0..10).map(|_| runs.allocate(100).expect("room")).collect();
        assert_eq!(runs.allocate(1), None);
        for run in taken.iter().step_by(2).chain(taken.iter().skip(1).step_by(2)) {
            runs.free(*run);
        }
        assert_eq!(runs.allocate(1000), Some(ALL));
    }

    #[test]
    fn the_shortest_range_that_fits_is_taken() {
        let mut runs = Runs::new(ALL);
        let long = runs.allocate(10).expect("room");
        runs.allocate(1).expect("room");
        let short = runs.allocate(5).expect("room");
        runs.allocate(1).expect("room");
        runs.free(long);
        runs.free(short);
        assert_eq!(runs.allocate(5), Some(short));
        assert_eq!(runs.allocate(6).map(|run| run.first), Some(long.first));
    }

    #[test]
    fn retired_runs_wait() {
        let mut runs = Runs::new(ALL);
        let all = runs.allocate(1000).expect("room");
        runs.retire(all);
        assert_eq!((runs.allocate(1), runs.retired_count()), (None, 1000));
        runs.reclaim();
        assert_eq!((runs.free_count(), runs.retired_count()), (1000, 0));
    }

    #[test]
    fn only_what_is_free_can_be_taken() {
        let mut runs = Runs::new(ALL);
        assert!(runs.take(Run { first: 10, count: 5 }));
        for (first, count) in [(0, 1), (10, 5), (8, 3), (14, 2), (1000, 2), (5, u32::MAX)] {
            assert!(!runs.take(Run { first, count }), "{first} {count}");
        }
        assert!(runs.take(Run { first: 15, count: 986 }) && runs.take(Run { first: 1, count: 9 }));
        assert_eq!(runs.free_count(), 0);
    }

    #[test]
    fn nothing_is_lost_by_churn() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut runs = Runs::new(ALL);
        let mut taken = Vec::new();
        for _ in 0..20_000 {
            if random.bool() && !taken.is_empty() {
                runs.free(taken.swap_remove(random.usize(..taken.len())));
            } else {
                taken.extend(runs.allocate(random.u32(1..20)));
            }
            let used: u32 = taken.iter().map(|run| run.count).sum();
            assert_eq!(runs.free_count() + used, ALL.count);
        }
        taken.sort_by_key(|run| run.first);
        assert!(taken.windows(2).all(|two| two[0].first + two[0].count <= two[1].first));
        for run in taken {
            runs.free(run);
        }
        assert_eq!(runs.allocate(ALL.count), Some(ALL));
    }
}
