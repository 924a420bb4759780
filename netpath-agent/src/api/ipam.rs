//! Addresses, as operators ask about them. Answers are of the types of [`crate::ipam`].

use std::{net::IpAddr, num::NonZeroU64};

use serde::{Deserialize, Serialize};

/// What to let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// What keeps this address: a claim, a cool-down, a conflict, or a pod that is gone.
    Address(IpAddr),
    /// All fixed addresses of this owner.
    Owner(String),
}

/// What to keep for an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The address.
    pub address: IpAddr,
    /// Its owner.
    pub owner: String,
    /// How long it is held while no pod uses it, in seconds; none: until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<NonZeroU64>,
}
