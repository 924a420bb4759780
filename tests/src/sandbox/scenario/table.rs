//! The reachability table with every way of switching, XDP mode and generation of TC hooks.

use anyhow::{Result, bail, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{agent::Settings, kernel, lab::Lab, table};

/// One scenario per combination.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![Scenario::own("table::plain_ipvlan", plain)];
    for switching in ["parent", "driver"] {
        for xdp in ["off", "generic", "native"] {
            let settings =
                Settings { switching: switching.into(), xdp: xdp.into(), ..Settings::default() };
            let name = format!("table::{switching}::xdp_{xdp}");
            scenarios.push(Scenario::shared(name, &settings, 1500, netpath));
        }
    }
    // What is left by `attachments`.
    for (switching, xdp) in [("parent", "generic"), ("driver", "off")] {
        let settings = Settings {
            attachment: "macvlan".into(),
            switching: switching.into(),
            xdp: xdp.into(),
            ..Settings::default()
        };
        let name = format!("table::macvlan::{switching}::xdp_{xdp}");
        scenarios.push(Scenario::once(name, move |bench| {
            netpath(&Lab::ready(&bench.programs, &settings, 1500)?, bench.effort)
        }));
    }
    let settings = Settings { attach: "netlink".into(), ..Settings::default() };
    scenarios.push(Scenario::shared("table::attach_netlink", &settings, 1500, |lab, _| {
        attached(lab, "clsact")?;
        surprises_or_passed(&table::surprises(&lab.table_after()?))
    }));
    let settings = Settings::default();
    scenarios.push(Scenario::shared("table::attach_auto", &settings, 1500, |lab, _| {
        attached(lab, if kernel::at_least(6, 6)? { "tcx" } else { "clsact" })?;
        Ok(Outcome::Passed)
    }));
    scenarios.push(Scenario::shared("table::mtu_9000", &settings, 9000, netpath));
    scenarios
}

/// What plain ipvlan can and can not do: otherwise the other tables would prove nothing.
fn plain(bench: &Bench) -> Result<Outcome> {
    let lab = Lab::build(&bench.programs, &Settings::default(), 1500)?;
    surprises_or_passed(&table::surprises(&lab.table_before()?))
}

fn netpath(lab: &Lab, _: super::Effort) -> Result<Outcome> {
    surprises_or_passed(&table::surprises(&lab.table_after()?))
}

pub(super) fn surprises_or_passed(surprises: &[String]) -> Result<Outcome> {
    if surprises.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("{} not as expected: {}", surprises.len(), surprises.join("; "))
}

/// Every TC hook of every node is attached this way, as `netpath status` says.
fn attached(lab: &Lab, how: &str) -> Result<()> {
    for agent in &lab.agents {
        let status = agent.netpath_json(&["status"])?;
        let hooks = status["parents"][0]["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(
            hooks.len() == 2 && hooks.iter().all(|hook| hook["attached"] == how),
            "wanted two hooks by {how}, got {hooks:?}"
        );
    }
    Ok(())
}
