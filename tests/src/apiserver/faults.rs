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

/// What one request meets.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) latency: Duration,
    pub(crate) conflict: bool,
    pub(crate) cut_before: bool,
    pub(crate) cut_after: bool,
    pub(crate) throttled: bool,
    pub(crate) failed: bool,
}

impl Faults {
    /// Draws as often whatever the probabilities, so that a seed means the same with all of them.
    pub(crate) fn draw(&self, random: &mut fastrand::Rng) -> Fate {
        let Self { latency, conflict, cut_before, cut_after, throttled, failed } = self;
        let spread = latency.end().saturating_sub(*latency.start());
        let mut hits = |probability: &f64| random.f64() < *probability;
        Fate {
            conflict: hits(conflict),
            cut_before: hits(cut_before),
            cut_after: hits(cut_after),
            throttled: hits(throttled),
            failed: hits(failed),
            latency: *latency.start() + spread.mul_f64(random.f64()),
        }
    }
}
