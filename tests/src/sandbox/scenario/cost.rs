//! What round trips may cost, compared with what the kernel does by itself. Runs in guests whose
//! clock counts instructions (`cargo xtask test` knows by the name's prefix): elsewhere a busy
//! machine would decide.

use anyhow::{Result, bail};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    cost::{self, Row, WIRINGS, Wiring},
    kernel,
};

/// Everything that has a limit, in one: a kernel that has booted is most of the cost of this one.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::own("cost::limits", limits)]
}

fn limits(bench: &Bench) -> Result<Outcome> {
    if !kernel::has_ipvlan("netpath-cost-scratch")? {
        return Ok(Outcome::Ignored("this kernel has no ipvlan".to_owned()));
    }
    let limited = || WIRINGS.iter().filter(|wiring| !wiring.limits.is_empty());
    let needed = |wiring: &&Wiring| {
        limited().any(|limited| [limited.name, limited.reference].contains(&wiring.name))
    };
    let wirings = WIRINGS.iter().filter(needed);
    let rows = cost::measure(&bench.programs, wirings, |name| eprintln!("cost: {name}"))?;
    let describe = |row: &Row| {
        let Row { wiring, exchange, proto, family, instructions, reference, ratio, limit } = row;
        let limit = limit.unwrap_or_default();
        let (exchange, proto) = (exchange.name(), proto.name());
        format!(
            "{wiring}, {exchange} {proto} {family:?}: {instructions} instructions, {ratio:.3} of \
             {reference}'s (limit {limit:.2})"
        )
    };
    let (over, within): (Vec<_>, Vec<_>) =
        rows.iter().filter(|row| row.limit.is_some()).partition(|row| row.is_over());
    for row in within {
        eprintln!("cost: {}", describe(row));
    }
    if over.is_empty() {
        return Ok(Outcome::Passed);
    }
    let over: Vec<_> = over.into_iter().map(describe).collect();
    bail!("over the limit: {}", over.join("; "))
}
