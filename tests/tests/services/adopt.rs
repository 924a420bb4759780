//! A successor goes on with what it finds.

use anyhow::{Result, ensure};
use aya::maps::IterableMap as _;
use netpath_common::{Backend, Connection, FlowKey, ServiceKey};

use crate::world::{Model, Reader, World, backend, compare, entry, key};

const COUNT: u32 = 200;

#[test]
fn a_successor_keeps_places_and_generations() -> Result<()> {
    let world = World::new(1024, 1024)?;
    let mut first = world.open()?;
    let reader = world.reader()?;
    let mut model = Model::new();
    for round in 0..3 {
        for number in 0..COUNT {
            let entry = entry(number, (0..number % 6).map(|add| number + add + round));
            first.put_service(key(number), &entry)?;
            model.insert(key(number), entry);
        }
        first.settle_services();
    }
    let before = reader.there()?;
    let highest = before.values().map(|id| id.generation).max();
    // The last thing that it does: who was its only backend is listed no more, and the youngest is gone
    // without a trace.
    let last = entry(1, [5000]);
    first.put_service(key(1), &last)?;
    let youngest = reader.there()?[&backend(5000)].generation;
    first.put_service(key(1), &entry(1, []))?;
    model.insert(key(1), entry(1, []));
    first.settle_services();
    let unsettled = entry(2, [6000]);
    first.put_service(key(2), &unsettled)?;
    first.put_service(key(2), &entry(2, []))?;
    model.insert(key(2), entry(2, []));
    let runs = |reader: &Reader| -> Result<Vec<_>> {
        let keys = model.keys();
        Ok(keys.map(|key| reader.services.get(key, 0)).collect::<Result<_, _>>()?)
    };
    let services = runs(&reader)?;
    let there = reader.there()?;
    drop(first);

    let mut second = world.open()?;
    compare(&second, &model)?;
    for (key, entry) in &model {
        second.put_service(*key, entry)?;
    }
    ensure!(runs(&reader)? == services, "what was right was written again");
    let mut gone = second.settle_services().into_iter().map(|(_, key)| key);
    ensure!(gone.any(|key| key == backend(6000)), "who was not settled is not told");
    let mut expected = there;
    expected.retain(|key, _| crate::world::listed(&model).any(|listed| listed == *key));
    ensure!(reader.there()? == expected, "backends moved");

    let new = entry(1, [7000]);
    second.put_service(key(1), &new)?;
    model.insert(key(1), new);
    let generation = reader.there()?[&backend(7000)].generation;
    ensure!(Some(generation) > highest && generation > youngest, "generation {generation} again");
    compare(&second, &model)
}

#[test]
fn what_others_wrote_is_seen_and_put_right() -> Result<()> {
    let world = World::new(64, 64)?;
    let mut datapath = world.open()?;
    let mut reader = world.reader()?;
    let mut model = Model::new();
    for number in 0..4 {
        let entry = entry(number, number..number + 3);
        datapath.put_service(key(number), &entry)?;
        model.insert(key(number), entry);
    }
    let foreign = key(9);
    let service = reader.services.get(&key(0), 0)?;
    reader.services.insert(foreign, service, 0)?;
    reader.services.remove(&key(1))?;
    reader.slots.set(reader.services.get(&key(2), 0)?.inside.first, 60, 0)?;
    let there = reader.there()?;
    reader.backends.set(there[&backend(5)].place, Backend::default(), 0)?;

    let mut wrong: Vec<ServiceKey> = Vec::new();
    datapath.each_service(|key, entry| {
        if model.get(&key) != Some(&entry) {
            wrong.push(key);
        }
    })?;
    wrong.sort();
    ensure!(wrong == [key(2), key(3), foreign], "{wrong:?}");
    ensure!(datapath.service(&key(1)).is_none());
    datapath.remove_service(&foreign)?;
    for (key, entry) in &model {
        datapath.put_service(*key, entry)?;
    }
    compare(&datapath, &model)?;
    ensure!(reader.there()? == there, "backends moved");
    // A successor finds nonsense, and is left with it in no worse a place.
    reader.slots.set(reader.services.get(&key(2), 0)?.inside.first, 60, 0)?;
    let mut service = service;
    service.inside.first = u32::MAX - 1;
    reader.services.insert(key(3), service, 0)?;
    drop(datapath);
    let mut datapath = world.open()?;
    for (key, entry) in &model {
        datapath.put_service(*key, entry)?;
    }
    datapath.settle_services();
    compare(&datapath, &model)?;
    ensure!(reader.services.map().info()?.max_entries() == 64);
    Ok(())
}

#[test]
fn another_version_is_taken_over_with_its_connections() -> Result<()> {
    let world = World::new(64, 64)?;
    let mut first = world.open()?;
    let mut model = Model::new();
    for number in 0..4 {
        let entry = entry(number, number..number + 3);
        first.put_service(key(number), &entry)?;
        model.insert(key(number), entry);
    }
    let there = world.reader()?.there()?;
    let flow = FlowKey { protocol: 6, ..FlowKey::default() };
    let connection = Connection { backend: there[&backend(3)], ..Connection::default() };
    world.connections()?.insert(flow, connection, 0)?;
    drop(first);

    world.become_other()?;
    let second = world.open()?;
    compare(&second, &model)?;
    ensure!(world.reader()?.there()? == there, "backends moved");
    ensure!(second.connections()?.get(&flow)? == Some(connection), "a connection was lost");
    second.remove_others();
    drop(second);

    // Connections would lead to others' places.
    world.become_other()?;
    let world = world.resized(64, 128);
    let third = world.open()?;
    compare(&third, &Model::new())?;
    ensure!(third.connections()?.count()? == 0, "connections to nobody");
    Ok(())
}
