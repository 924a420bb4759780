//! What the wire is asked before an address is used, and told after.

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use crate::announce::{ANNOUNCEMENTS, PROBE_TIMEOUT};

/// What is asked on the wire before an endpoint gets its addresses, and told after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Announce {
    /// Ask whether somebody else has the address: an ARP probe, or duplicate address detection.
    /// Where the fabric answers for every address, as in some clouds, it must be false.
    pub probe: bool,
    /// How long to listen for an answer, in milliseconds. It is part of the time that every new
    /// pod takes.
    pub timeout_ms: u32,
    /// fail, or next: take the next address of the pool.
    pub on_conflict: OnConflict,
    /// How often a new address is announced (gratuitous ARP, unsolicited advertisement).
    pub announcements: u32,
    /// Refuse an endpoint whose gateway does not answer.
    pub gateway_check: bool,
}

impl Default for Announce {
    fn default() -> Self {
        Self {
            probe: true,
            timeout_ms: u32::try_from(PROBE_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
            on_conflict: OnConflict::Fail,
            announcements: ANNOUNCEMENTS,
            gateway_check: false,
        }
    }
}

/// What to do about an address that somebody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// Refuse the pod.
    Fail,
    /// Take the next address of the pool.
    Next,
}
