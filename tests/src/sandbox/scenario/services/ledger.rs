//! Who was a backend when, and who answered when.

use std::time::{Duration, Instant};

/// How long after its removal a backend may still get connections.
const GRACE: Duration = Duration::from_millis(100);

/// From when until when a backend was listed.
#[derive(Clone, Copy, Debug)]
struct Term {
    from: Instant,
    until: Option<Instant>,
}

/// The terms of all backends.
#[derive(Debug)]
pub(super) struct Ledger {
    terms: Vec<Vec<Term>>,
}

impl Ledger {
    /// `count` backends, none of them listed.
    pub(super) fn new(count: usize) -> Self {
        Self { terms: vec![Vec::new(); count] }
    }

    /// The backends that are listed.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        let listed = |terms: &[Term]| terms.last().is_some_and(|term| term.until.is_none());
        self.terms.iter().enumerate().filter(move |(_, terms)| listed(terms)).map(|(id, _)| id)
    }

    /// The backend is listed, from the moment that it was asked for.
    pub(super) fn add(&mut self, id: usize, asked: Instant) {
        self.terms[id].push(Term { from: asked, until: None });
    }

    /// It is listed no more, from the moment that this was confirmed.
    pub(super) fn remove(&mut self, id: usize, confirmed: Instant) {
        if let Some(term) = self.terms[id].last_mut() {
            term.until = Some(confirmed);
        }
    }

    /// Whether it was right for a backend to answer who began then and had the answer then.
    pub(super) fn allows(&self, id: usize, began: Instant, ended: Instant) -> bool {
        let terms = self.terms.get(id).map(Vec::as_slice).unwrap_or_default();
        terms
            .iter()
            .any(|term| term.from <= ended && term.until.is_none_or(|until| began <= until + GRACE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_may_answer_no_longer_than_the_grace() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut ledger = Ledger::new(2);
        ledger.add(1, at(10));
        assert_eq!(ledger.members().collect::<Vec<_>>(), [1]);
        ledger.remove(1, at(20));
        assert_eq!(ledger.members().count(), 0);
        assert!(ledger.allows(1, at(119), at(500)));
        assert!(!ledger.allows(1, at(121), at(500)));
        assert!(!ledger.allows(1, at(0), at(9)));
        assert!(!ledger.allows(0, at(15), at(16)));
    }
}
