//! Thousands of changes, compared with a plain model.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use fastrand::Rng;
use netpath_agent::service::Entry;

use crate::world::{Model, World, backend, compare, entry, key, listed};

const SERVICES: u32 = 1024;
const BACKENDS: u32 = 1024;
/// Those of them that come and go: so few that whatever they list fits.
const KEYS: u32 = 400;
const BATCHES: u32 = 200;
const CHANGES: u32 = 100;

#[test]
fn tables_follow_the_model() -> Result<()> {
    let world = World::new(SERVICES, BACKENDS)?;
    let mut datapath = world.open()?;
    let reader = world.reader()?;
    let mut random = Rng::with_seed(41);
    let mut model = Model::new();
    for batch in 0..BATCHES {
        let before: BTreeSet<_> = reader.there()?.into_keys().collect();
        for _ in 0..CHANGES {
            let key = key(random.u32(..KEYS));
            if random.u8(..3) == 0 {
                datapath.remove_service(&key)?;
                model.remove(&key);
            } else {
                let entry = any_entry(&mut random);
                datapath.put_service(key, &entry)?;
                model.insert(key, entry);
            }
        }
        let gone: BTreeSet<_> =
            datapath.settle_services().into_iter().map(|(_, key)| key).collect();
        compare(&datapath, &model)?;
        let there: BTreeSet<_> = reader.there()?.into_keys().collect();
        let expected: BTreeSet<_> = listed(&model).collect();
        ensure!(there == expected, "batch {batch}: who is there is not who is listed");
        let left: BTreeSet<_> = before.difference(&there).copied().collect();
        ensure!(gone.is_superset(&left), "batch {batch}: some left and were not told");
        ensure!(gone.is_disjoint(&there), "batch {batch}: some who are there were told to be gone");
    }
    for key in model.keys() {
        datapath.remove_service(key)?;
    }
    datapath.settle_services();
    compare(&datapath, &Model::new())?;
    ensure!(reader.there()?.is_empty());
    fills_up(&mut datapath)
}

/// Nothing was lost: everything fits that did at first, again and again.
fn fills_up(datapath: &mut netpath_agent::datapath::Datapath) -> Result<()> {
    for round in 0..5 {
        let mut model = Model::new();
        for number in 0..SERVICES {
            // Each of its own four slots.
            let first = round + number;
            let numbers = [0, 1, 1, 0].map(|add| (first + add * 7) % BACKENDS);
            let entry = entry(number, numbers);
            datapath.put_service(key(number), &entry)?;
            model.insert(key(number), entry);
        }
        datapath.settle_services();
        compare(datapath, &model)?;
        ensure!(listed(&model).collect::<BTreeSet<_>>().len() == BACKENDS as usize);
        for number in 0..SERVICES {
            datapath.remove_service(&key(number))?;
        }
        datapath.settle_services();
    }
    Ok(())
}

fn any_entry(random: &mut Rng) -> Entry {
    let mut list = || {
        let count = [0, 1, 2, 3, 5, 5, 5, 12][random.usize(..8)];
        (0..count).map(|_| backend(random.u32(..600))).collect::<Arc<[_]>>()
    };
    let inside = list();
    let outside = if inside.len() % 2 == 0 { Arc::clone(&inside) } else { list() };
    let (id, affinity, flags) = (random.u32(..50), random.u32(..2) * 10_800, random.u32(..8));
    Entry { id, affinity, flags, inside, outside }
}
