//! What can go wrong on purpose.

use std::{ops::RangeInclusive, time::Duration};

/// How often requests meet which misfortune; probabilities are from 0 to 1. None by default.
#[derive(Debug, Clone)]
pub struct Faults {
    /// How long every request waits before anything happens.
    pub latency: RangeInclusive<Duration>,
    /// A PUT, PATCH or DELETE that would succeed is refused with 409 Conflict.
    pub conflict: f64,
    /// The connection is cut before the request is carried out.
    pub cut_before: f64,
    /// The request is carried out and the connection is cut instead of an answer.
    pub cut_after: f64,
    /// 429 with a Retry-After.
    pub throttled: f64,
    /// 500.
    pub failed: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO..=Duration::ZERO,
            conflict: 0.0,
            cut_before: 0.0,
            cut_after: 0.0,
            throttled: 0.0,
            failed: 0.0,
        }
    }
}

/// When a connection is cut.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Before,
    After,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttled,
    Failed,
    Conflict,
}

/// What one request meets.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) latency: Duration,
    pub(crate) cut: Option<Cut>,
    pub(crate) refusal: Option<Refusal>,
}

impl Faults {
    /// Draws as often whatever the probabilities, so that a seed means the same with all of them.
    pub(crate) fn draw(&self, random: &mut fastrand::Rng) -> Fate {
        let Self { latency, conflict, cut_before, cut_after, throttled, failed } = self;
        let spread = latency.end().saturating_sub(*latency.start());
        let latency = *latency.start() + spread.mul_f64(random.f64());
        let mut hits = |probability: &f64| random.f64() < *probability;
        let cuts = [(hits(cut_before), Cut::Before), (hits(cut_after), Cut::After)];
        let refusals = [
            (hits(throttled), Refusal::Throttled),
            (hits(failed), Refusal::Failed),
            (hits(conflict), Refusal::Conflict),
        ];
        Fate { latency, cut: first(cuts), refusal: first(refusals) }
    }
}

fn first<T, const N: usize>(drawn: [(bool, T); N]) -> Option<T> {
    drawn.into_iter().find_map(|(hit, what)| hit.then_some(what))
}
