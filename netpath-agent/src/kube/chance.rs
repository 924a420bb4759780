//! A bit of chance, so that nodes do not all do the same at the same time.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// A number from 0 to 1.
pub(super) fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}
