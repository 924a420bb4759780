//! Ten thousand Services.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use netpath_common::{Address, ServiceKey};

use crate::world::{Model, TCP, World, compare, entry, key};

const SERVICES: u32 = 10_000;
const BACKENDS: u32 = 5;
const LOAD: Duration = Duration::from_secs(2);
const CHANGE: Duration = Duration::from_millis(20);
const CHANGES: u32 = 2_000;

#[test]
fn ten_thousand_services_load_and_change_in_time() -> Result<()> {
    let world = World::new(65_536, 131_072)?;
    let mut datapath = world.open()?;
    let lists = |moved: u32, number: u32| {
        let mut own: Vec<_> = (0..BACKENDS).map(|add| number * BACKENDS + add).collect();
        if moved > 0 {
            own[0] = SERVICES * BACKENDS + moved;
        }
        entry(number, own)
    };
    let node_port = |number: u32| {
        let any = Address::v4([0; 4]);
        ServiceKey::any_of_node(&any, u16::try_from(30_000 + number).unwrap_or(0).to_be(), TCP)
    };
    let mut model = Model::new();
    for number in 0..SERVICES {
        for key in [key(number), node_port(number)] {
            model.insert(key, lists(0, number));
        }
    }
    let begin = Instant::now();
    for (key, entry) in &model {
        datapath.put_service(*key, entry)?;
    }
    datapath.settle_services();
    let load = begin.elapsed();
    let begin = Instant::now();
    for (key, entry) in &model {
        datapath.put_service(*key, entry)?;
    }
    let again = begin.elapsed();
    let begin = Instant::now();
    let mut count = 0;
    datapath.each_service(|_, _| count += 1)?;
    let shown = begin.elapsed();

    let mut longest = Duration::ZERO;
    let mut all = Duration::ZERO;
    for change in 1..=CHANGES {
        let number = change % SERVICES;
        let changed = lists(change, number);
        let begin = Instant::now();
        for key in [key(number), node_port(number)] {
            datapath.put_service(key, &changed)?;
        }
        let gone = datapath.settle_services();
        let took = begin.elapsed();
        longest = longest.max(took);
        all += took;
        ensure!(gone.len() == 1, "{gone:?}");
        for key in [key(number), node_port(number)] {
            model.insert(key, changed.clone());
        }
    }
    compare(&datapath, &model)?;
    let begin = Instant::now();
    let second = world.open()?;
    let adopted = begin.elapsed();
    compare(&second, &model)?;
    println!(
        "{} entries loaded in {load:?}, put again in {again:?}, shown in {shown:?}; a change takes {:?}, \
         at most {longest:?}; a successor starts in {adopted:?}",
        model.len(),
        all / CHANGES
    );
    ensure!(load < LOAD, "loading took {load:?}");
    ensure!(longest < CHANGE, "a change took {longest:?}");
    Ok(())
}
