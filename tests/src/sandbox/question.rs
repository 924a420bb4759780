//! Questions that a program asks from inside a container, and the answers that it reports.

use std::{net::IpAddr, thread};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::{
    probe::{Patience, Proto, probe_here},
    server::ECHO_PORT,
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
    thread::scope(|scope| {
        let asks: Vec<_> = questions
            .map(|(to, proto)| {
                scope.spawn(move || {
                    let ok = probe_here(to, ECHO_PORT, proto, Patience::EXPECTED)?;
                    anyhow::Ok(Answer { to, proto, ok })
                })
            })
            .collect();
        asks.into_iter().map(|ask| ask.join().map_err(|_| anyhow!("a probe panicked"))?).collect()
    })
}
