//! The CNI plugin's program against an agent that keeps its pods in memory: all verbs, all versions,
//! chains, IPAM plugins, and everything that must be refused.
//!
//! It needs root, for a network namespace that stands for a container's.

mod agent;
mod chain;
mod delegate;
mod down;
mod refusals;
mod verbs;
mod world;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use netpath_tests::cni::bad_inputs;

use crate::world::{Place, World};

/// A test.
type Check = fn(&World) -> Result<()>;

fn main() {
    match run(&Arguments::from_args()) {
        Ok(conclusion) => conclusion.exit(),
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    }
}

fn run(arguments: &Arguments) -> Result<Conclusion> {
    let place = Arc::new(Place::make()?);
    let mut trials: Vec<Trial> = [verbs::ALL, chain::ALL, delegate::ALL, down::ALL, refusals::ALL]
        .concat()
        .into_iter()
        .map(|(name, check)| trial(name.to_owned(), &place, check))
        .collect();
    let names = bad_inputs(&World::new(&place)?.ground).into_iter().map(|input| input.name);
    trials.extend(names.enumerate().map(|(index, name)| {
        trial(format!("bad_input::{name}"), &place, move |world: &World| {
            let input = bad_inputs(&world.ground).into_iter().nth(index).context("the input")?;
            world.plugin.run(&input.invocation)?.refusal(input.code, input.about)?;
            world.agent.unmoved()
        })
    }));
    Ok(libtest_mimic::run(arguments, trials))
}

/// A test with an agent of its own.
fn trial(
    name: String,
    place: &Arc<Place>,
    check: impl FnOnce(&World) -> Result<()> + Send + 'static,
) -> Trial {
    let place = Arc::clone(place);
    let run = move || check(&World::new(&place)?);
    Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
}
