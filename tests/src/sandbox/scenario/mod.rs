//! Scenarios: what real programs must do in the sandbox.
//!
//! A scenario that leaves the sandbox as it found it runs on a lab that others with the same
//! settings use as well: loading programs takes seconds in an emulated guest. The others make
//! their own.

mod attachments;
mod bad_input;
mod cleanup;
mod cluster;
mod cni;
mod conflict;
mod cost;
mod exclusive;
mod exhausted;
mod flows;
mod inspect;
mod masquerade;
mod matrix;
mod next_hop;
mod parents;
mod pmtu;
mod random;
mod repair;
mod restart;
mod runner;
mod runtime;
mod scale;
mod service;
mod services;
mod spoof;
mod storm;
mod table;
mod transfer;

use anyhow::Result;
use clap::{Args, ValueEnum};

pub use self::runner::{Tally, run};
use super::{
    agent::{Programs, Settings},
    kernel,
    lab::Lab,
};

/// What all scenarios are given.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The programs under test.
    pub programs: Programs,
    /// How much the scenarios do.
    pub effort: Effort,
    /// Ethernet addresses of two NICs of the machine, on one wire, that scenarios may take.
    pub nics: Vec<String>,
}

/// How much the scenarios do.
#[derive(Clone, Copy, Debug, Args)]
pub struct Effort {
    /// Size of a TCP transfer by a local path, in megabytes (1,000,000 bytes).
    #[arg(long, default_value_t = 200)]
    pub megabytes: u64,
    /// How often a pod is made anew while agents are killed, over all callers.
    #[arg(long, default_value_t = 300)]
    pub rounds: u64,
    /// Datagrams a second while agents are replaced: an emulated guest that carries as many as it
    /// can has no time left for an agent.
    #[arg(long, default_value_t = 4000)]
    pub rate: u64,
    /// Seconds for which backends of Services come and go.
    #[arg(long, default_value_t = 5)]
    pub churn: u64,
    /// What a random scenario's choices follow from; a printed one repeats them.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// The kind of machine that a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// One with the sandbox's programs.
    Scenario,
    /// One with container runtimes as well: names that start with `runtime::`.
    Runtime,
    /// One whose clock counts instructions: names that start with `cost::`.
    Cost,
    /// One that is not emulated: names that start with `native::`.
    Native,
}

/// How a scenario ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything as expected.
    Passed,
    /// This machine lacks what it needs.
    Ignored(String),
}

/// A named test.
pub struct Scenario {
    name: String,
    run: Run,
}

type OnLab = dyn Fn(&Lab, Effort) -> Result<Outcome>;
type Alone = dyn Fn(&Bench) -> Result<Outcome>;

enum Run {
    /// On a lab with these settings, which is left as it was.
    Shared(Settings, u32, Box<OnLab>),
    /// With what it makes itself.
    Own(Box<Alone>),
}

impl Scenario {
    /// Runs on a ready lab with these settings and this MTU, and leaves it as it was.
    fn shared(
        name: impl Into<String>,
        settings: &Settings,
        mtu: u32,
        run: impl Fn(&Lab, Effort) -> Result<Outcome> + 'static,
    ) -> Self {
        Self { name: name.into(), run: Run::Shared(settings.clone(), mtu, Box::new(run)) }
    }

    /// Makes what it needs itself.
    fn own(name: impl Into<String>, run: impl Fn(&Bench) -> Result<Outcome> + 'static) -> Self {
        Self { name: name.into(), run: Run::Own(Box::new(run)) }
    }

    /// The same, of what takes long and is the same on every kernel: it runs on one.
    fn once(name: impl Into<String>, run: impl Fn(&Bench) -> Result<Outcome> + 'static) -> Self {
        Self::own(name, move |bench| match kernel::left_out()? {
            Some(why) => Ok(Outcome::Ignored(why)),
            None => run(bench),
        })
    }

    /// The name that filters match.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of machine that it needs.
    #[must_use]
    pub fn group(&self) -> Group {
        match self.name.split("::").next() {
            Some("runtime") => Group::Runtime,
            Some("cost") => Group::Cost,
            Some("native") => Group::Native,
            _ => Group::Scenario,
        }
    }

    /// What a lab that it can share is like.
    fn lab(&self) -> Option<(&Settings, u32)> {
        match &self.run {
            Run::Shared(settings, mtu, _) => Some((settings, *mtu)),
            Run::Own(_) => None,
        }
    }
}

/// Every scenario whose name contains `filter`; those that share a lab stand together.
#[must_use]
pub fn matching(filter: &str) -> Vec<Scenario> {
    let all = [
        table::scenarios(),
        transfer::scenarios(),
        restart::scenarios(),
        cleanup::scenarios(),
        attachments::scenarios(),
        parents::scenarios(),
        matrix::scenarios(),
        masquerade::scenarios(),
        pmtu::scenarios(),
        flows::scenarios(),
        random::scenarios(),
        spoof::scenarios(),
        bad_input::scenarios(),
        service::scenarios(),
        services::scenarios(),
        cluster::scenarios(),
        next_hop::scenarios(),
        repair::scenarios(),
        cni::scenarios(),
        conflict::scenarios(),
        cost::scenarios(),
        exclusive::scenarios(),
        exhausted::scenarios(),
        inspect::scenarios(),
        runtime::scenarios(),
        storm::scenarios(),
        scale::scenarios(),
    ];
    let mut groups: Vec<Vec<Scenario>> = Vec::new();
    for scenario in all.into_iter().flatten().filter(|scenario| scenario.name.contains(filter)) {
        let same = |group: &&mut Vec<Scenario>| {
            scenario.lab().is_some() && group.iter().any(|other| other.lab() == scenario.lab())
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(scenario),
            None => groups.push(vec![scenario]),
        }
    }
    groups.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_filters_narrow() {
        let all = matching("");
        let names: BTreeSet<_> = all.iter().map(Scenario::name).collect();
        assert_eq!(names.len(), all.len());
        let some = matching("nodeport");
        assert!(!some.is_empty() && some.len() < all.len());
    }

    #[test]
    fn a_lab_is_made_once() {
        let all = matching("");
        let labs: Vec<_> =
            all.chunk_by(|a, b| a.lab() == b.lab()).map(|same| same[0].lab()).collect();
        for (at, lab) in labs.iter().enumerate() {
            assert!(lab.is_none() || !labs[..at].contains(lab), "{lab:?} twice");
        }
    }
}
