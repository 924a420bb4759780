//! Questions that a program asks from inside a container, and the answers that it reports.

use std::net::IpAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    probe::{Patience, Proto, probe_here},
    server::ECHO_PORT,
    together::together,
};

/// What came of asking one address by one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who was asked.
    pub to: IpAddr,
    /// How.
    pub proto: Proto,
    /// Whether the right answer came in time.
    pub ok: bool,
}

/// Asks every address by every protocol, all at once, from the caller's own namespace.
pub fn ask(targets: &[IpAddr]) -> Result<Vec<Answer>> {
    let questions = targets.iter().flat_map(|&to| Proto::ALL.map(|proto| (to, proto)));
    let asks = questions.map(|(to, proto)| {
        move || {
            let ok = probe_here(to, ECHO_PORT, proto, Patience::EXPECTED)?;
            Ok(Answer { to, proto, ok })
        }
    });
    together(asks)?.into_iter().collect()
}
