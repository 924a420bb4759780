//! The programs on the running kernel, frame by frame: tables of packet in, verdict, bytes out and
//! counters moved, and a million random frames against the oracle.
//!
//! It needs root. `cargo test -p netpath-tests --test prog -- --list` names every case;
//! `NETPATH_FUZZ_SEED` and `NETPATH_FUZZ_PACKETS` replay a difference that the fuzzing found.

mod cases;
mod fuzz;
mod live;
mod world;

use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::world::World;

/// A test that is more than a row.
type Check = fn(&mut World) -> anyhow::Result<()>;

fn main() {
    let mut arguments = Arguments::from_args();
    // All cases share one set of maps, and one thread's namespaces.
    arguments.test_threads = Some(1);
    let world = World::enter().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    });
    let cases = cases::all(&world);
    let world = Arc::new(Mutex::new(world));
    let mut trials: Vec<Trial> = cases
        .into_iter()
        .map(|case| {
            let world = Arc::clone(&world);
            Trial::test(case.name.clone(), move || {
                let mut world = world.lock().map_err(|_| Failed::without_message())?;
                world.check(&case).map_err(Failed::from)
            })
        })
        .collect();
    let checks: [(&str, Check); 4] = [
        ("live::addresses_come_and_go", live::addresses_come_and_go),
        ("live::full_maps_are_named", live::full_maps_are_named),
        ("live::explain_says_what_the_programs_do", live::explain_says_what_the_programs_do),
        ("fuzz::programs_agree_with_the_oracle", fuzz::run),
    ];
    trials.extend(checks.map(|(name, check)| {
        let world = Arc::clone(&world);
        Trial::test(name, move || {
            let mut world = world.lock().map_err(|_| Failed::without_message())?;
            check(&mut world).map_err(|error| Failed::from(format!("{error:#}")))
        })
    }));
    libtest_mimic::run(&arguments, trials).exit();
}
