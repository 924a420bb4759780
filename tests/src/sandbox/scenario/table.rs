//! The reachability table with every way of switching, XDP mode and generation of TC hooks.

use anyhow::{Result, bail};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{agent::Settings, kernel, lab::Lab, table};

/// One scenario per combination.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::new("table::plain_ipvlan", plain)];
    for switching in ["parent", "driver"] {
        for xdp in ["off", "generic", "native"] {
            let settings =
                Settings { switching: switching.into(), xdp: xdp.into(), ..Settings::default() };
            scenarios.push(Scenario::new(format!("table::{switching}::xdp_{xdp}"), move |bench| {
                netpath(bench, &settings, 1500)
            }));
        }
    }
    for attach in ["tcx", "netlink"] {
        let settings = Settings { attach: attach.into(), ..Settings::default() };
        scenarios.push(Scenario::new(format!("table::attach_{attach}"), move |bench| {
            if attach == "tcx" && !kernel::at_least(6, 6)? {
                return Ok(Outcome::Ignored("tcx links need Linux 6.6".into()));
            }
            netpath(bench, &settings, 1500)
        }));
    }
    scenarios
        .push(Scenario::new("table::mtu_9000", |bench| netpath(bench, &Settings::default(), 9000)));
    scenarios
}

/// What plain ipvlan can and can not do: otherwise the other tables would prove nothing.
fn plain(bench: &Bench) -> Result<Outcome> {
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    surprises_or_passed(&table::surprises(&lab.table_before()?))
}

fn netpath(bench: &Bench, settings: &Settings, mtu: u32) -> Result<Outcome> {
    let lab = Lab::ready(&bench.programs, settings, mtu)?;
    surprises_or_passed(&table::surprises(&lab.table_after()?))
}

pub(super) fn surprises_or_passed(surprises: &[String]) -> Result<Outcome> {
    if surprises.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("{} not as expected: {}", surprises.len(), surprises.join("; "))
}
