//! How addresses are handed out, over all pools.

use std::num::NonZeroU64;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

/// How addresses are handed out, over all pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Ipam {
    /// Seconds that an address rests between two pods, so that neighbours and connections forget
    /// the first one, and that one is kept back which somebody on the wire answers for.
    pub cooldown_seconds: u32,
    /// Seconds that a fixed address waits for its owner while no pod uses it. 0: until
    /// `netpath ipam release`.
    pub fixed_ttl_seconds: u32,
}

impl Default for Ipam {
    fn default() -> Self {
        Self { cooldown_seconds: 30, fixed_ttl_seconds: 0 }
    }
}

impl Ipam {
    /// Seconds between two pods.
    #[must_use]
    pub fn cooldown(&self) -> u64 {
        self.cooldown_seconds.into()
    }

    /// Seconds that a fixed address waits; none: until it is released.
    #[must_use]
    pub fn fixed_ttl(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.fixed_ttl_seconds.into())
    }
}
