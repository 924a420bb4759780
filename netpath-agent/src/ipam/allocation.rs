//! The rows that ipam keeps: who has an address, and until when.

use std::{fmt, net::IpAddr, num::NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::pod::PodId;

/// An address that is not free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The address.
    pub address: IpAddr,
    /// The pool that it is of; none: no pool has it any more, since the configuration changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Who has it.
    #[serde(flatten)]
    pub holder: Holder,
    /// Whose fixed address it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// When the holder got it, in seconds since 1970.
    pub since: u64,
}

/// Who has an address. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Holder {
    /// A pod's interface.
    Attached {
        /// Which one.
        id: PodId,
    },
    /// Nobody now; it waits for its owner.
    Held {
        /// When it stops to; none: it waits until it is released.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
    },
    /// Nobody. It rests, so that neighbours and connections forget who had it.
    Cooling {
        /// When it is free again.
        until: u64,
    },
    /// Somebody on the wire answered for it.
    Conflict {
        /// The Ethernet address that answered.
        mac: String,
        /// When it is tried again.
        until: u64,
    },
}

impl Holder {
    /// When the state ends by itself.
    #[must_use]
    pub const fn until(&self) -> Option<u64> {
        match self {
            Self::Attached { .. } => None,
            Self::Held { until } => *until,
            Self::Cooling { until } | Self::Conflict { until, .. } => Some(*until),
        }
    }
}

impl fmt::Display for Allocation {
    /// What the address is doing, as the middle of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.holder, &self.claim) {
            (Holder::Attached { id }, _) => write!(f, "belongs to pod {id}"),
            (Holder::Held { .. }, Some(claim)) => write!(f, "is held for owner {}", claim.owner),
            (Holder::Held { .. }, None) => write!(f, "is held"),
            (Holder::Cooling { .. }, _) => write!(f, "is cooling down"),
            (Holder::Conflict { mac, .. }, _) => write!(f, "is used by {mac} on the wire"),
        }
    }
}

/// A fixed address: its owner gets it again and nobody else does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The owner, such as `default/web-0`.
    pub owner: String,
    /// How long it is held while no attachment uses it, in seconds; none: until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<NonZeroU64>,
    /// When the owner got it, in seconds since 1970.
    pub since: u64,
}

impl Claim {
    /// Until when an address that is let go now is held.
    pub(super) fn until(&self, now: u64) -> Option<u64> {
        self.seconds.map(|seconds| now.saturating_add(seconds.get()))
    }
}

/// Rows to write, all in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is not written is lost when the agent ends"]
pub struct Changes {
    /// New rows, in place of those with the same address.
    pub put: Vec<Allocation>,
    /// Addresses whose rows go.
    pub delete: Vec<IpAddr>,
}

impl Changes {
    /// Nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty()
    }
}
