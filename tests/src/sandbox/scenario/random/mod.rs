//! Endpoints and routes that come and go at random, and rules and routes of ours that somebody removes
//! from the host stack: the maps, the rules and the tables are what the sum of it asks for.

mod asked;
mod change;
mod drift;
mod expected;
mod found;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;

use self::{
    asked::{RULES, Routes, Wanted, configured},
    found::Kernel,
};
use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    fabric::{Fabric, Plan},
    namespace::Namespace,
    wait,
};

/// In the running kernel: emulated, it would take minutes.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::own("native::random", random)]
}

const OPERATIONS: u32 = 1000;
/// Operations between two comparisons.
const STEP: u32 = 100;
/// Pods that come and go.
const PLACES: usize = 10;
/// What was removed is back.
const REPAIR: Duration = Duration::from_secs(10);

struct Run<'a> {
    fabric: &'a Fabric,
    ipvlan: bool,
    places: Vec<(Namespace, Option<Wanted>)>,
    routes: Routes,
    rng: Rng,
}

fn random(bench: &Bench) -> Result<Outcome> {
    let seed = bench.effort.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("random: seed {seed}");
    let fabric = Fabric::build(&bench.programs, Plan { more: RULES, ..Plan::default() })?;
    for pod in &fabric.pods {
        fabric.agents[pod.node].netpath(&["endpoint", "del", &pod.name])?;
    }
    let places = (0..PLACES).map(|place| {
        let name = format!("{}-{place}", fabric.nodes[0].namespace.name());
        let namespace = Namespace::create(&name)?;
        namespace.ip(&["link set lo up".to_owned()])?;
        Ok((namespace, None))
    });
    let mut run = Run {
        ipvlan: fabric.pods.iter().any(|pod| pod.sort.attachment == "ipvlan-l2"),
        fabric: &fabric,
        places: places.collect::<Result<_>>()?,
        routes: configured(),
        rng: Rng::with_seed(seed),
    };
    let mut done = BTreeMap::<&str, u32>::new();
    for number in 1..=OPERATIONS {
        let what = run.operation().with_context(|| format!("operation {number}, seed {seed}"))?;
        *done.entry(what).or_default() += 1;
        if number % STEP == 0 {
            let compared = run.compare().and_then(|()| run.ask());
            compared.with_context(|| format!("after operation {number}, seed {seed}"))?;
        }
    }
    eprintln!("random: {OPERATIONS} operations: {done:?}; rules, tables and maps agree");
    Ok(Outcome::Passed)
}

impl Run<'_> {
    /// Waits until all is as it should be.
    fn compare(&self) -> Result<()> {
        let expected = self.expected()?;
        let agreed = wait::until("the kernel agrees", REPAIR, || {
            Ok((self.kernel()? == expected).then_some(()))
        });
        if agreed.is_err() {
            let found = self.kernel()?;
            ensure!(found == expected, "expected {expected:?}\n   found {found:?}");
        }
        Ok(())
    }

    fn kernel(&self) -> Result<Kernel> {
        Kernel::read(&self.fabric.nodes[0].namespace, &self.fabric.agents[0].files.pins)
    }
}
