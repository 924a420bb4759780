//! What to do about a pool. No I/O: figures in, a step out.

use crate::ipam::Usage;

/// How this node stands with a pool.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Addresses of a block.
    pub(super) size: u64,
    /// Whether addresses of these blocks are handed out.
    pub(super) wanted: bool,
    /// The blocks that it has, by name.
    pub(super) blocks: Vec<(String, Usage)>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Take a block.
    Take,
    /// Give a block back.
    GiveBack(String),
}

impl Standing {
    /// The next step. A block is taken while there is still half of one to hand out, so that no
    /// addition waits for the API server; and given back only if one and a half are left then, so
    /// that it is not taken again at once.
    pub(super) fn step(&self) -> Option<Step> {
        let Self { size, wanted, blocks } = self;
        let unused = || blocks.iter().rev().filter(|(_, usage)| usage.rows == 0);
        let give_back = |(name, _): &(String, Usage)| Step::GiveBack(name.clone());
        if !wanted {
            return unused().next().map(give_back);
        }
        let free = blocks.iter().map(|(_, usage)| usage.free).fold(0, u64::saturating_add);
        if blocks.is_empty() || free < (size / 2).max(1) {
            return Some(Step::Take);
        }
        let is_spare = |usage: &Usage| (free - usage.free).saturating_mul(2) >= size * 3;
        let spare = unused().find(|(_, usage)| is_spare(usage));
        spare.filter(|_| blocks.len() > 1).map(give_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks in words: `rows/free rows/free`.
    fn step(size: u64, wanted: bool, blocks: &str) -> String {
        let blocks = blocks.split_whitespace().enumerate().map(|(index, figures)| {
            let (rows, free) = figures.split_once('/').expect("rows/free");
            let (rows, free) = (rows.parse().expect("rows"), free.parse().expect("free"));
            (index.to_string(), Usage { rows, free })
        });
        match (Standing { size, wanted, blocks: blocks.collect() }).step() {
            None => "-".to_owned(),
            Some(Step::Take) => "take".to_owned(),
            Some(Step::GiveBack(name)) => format!("give {name}"),
        }
    }

    #[test]
    fn blocks_are_taken_before_they_are_needed_and_kept_a_while() {
        for (size, blocks, expected) in [
            // None yet; then the first one, down to its last half.
            (16, "", "take"),
            (16, "0/16", "-"),
            (16, "8/8", "-"),
            (16, "9/7", "take"),
            // What is in use elsewhere counts as used.
            (16, "0/7", "take"),
            // Two: the second goes when the other has one and a half left, which one has not.
            (16, "0/16 0/16", "-"),
            (16, "0/16 0/16 0/16", "give 2"),
            (16, "0/16 8/8 0/16", "give 2"),
            (16, "0/16 9/7 0/16", "-"),
            (16, "0/16 0/16 16/0", "-"),
            (16, "0/16 0/16 8/8", "give 1"),
            // Nobody gives back what somebody uses.
            (16, "1/15 1/15 1/15", "-"),
            // The smallest ones.
            (1, "0/1", "-"),
            (1, "1/0", "take"),
            (1, "1/0 0/1 0/1", "-"),
            (1, "0/1 0/1 0/1", "give 2"),
            // A block of which nothing can be had helps nobody.
            (16, "0/0", "take"),
            (16, "0/0 0/16 0/16", "give 0"),
        ] {
            assert_eq!(step(size, true, blocks), expected, "{size}: {blocks}");
        }
    }

    #[test]
    fn what_is_not_wanted_goes_when_nobody_uses_it() {
        assert_eq!(step(16, false, ""), "-");
        assert_eq!(step(16, false, "1/0 2/0"), "-");
        assert_eq!(step(16, false, "0/0 2/0"), "give 0");
    }

    #[test]
    fn taking_and_giving_back_come_to_an_end() {
        for size in [1, 2, 4, 16, 64] {
            for rows in 0..=size {
                let used = usize::try_from(rows).expect("small");
                let mut blocks = vec![(String::new(), Usage { rows: used, free: size - rows })];
                for round in 0.. {
                    assert!(round < 10, "{size}: {rows}");
                    let standing = Standing { size, wanted: true, blocks: blocks.clone() };
                    match standing.step() {
                        None => break,
                        Some(Step::Take) => {
                            blocks.push((round.to_string(), Usage { rows: 0, free: size }));
                        }
                        Some(Step::GiveBack(name)) => panic!("{size}: {rows}: {name}"),
                    }
                }
            }
        }
    }
}
