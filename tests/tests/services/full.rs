//! What does not fit: named, and nothing else suffers.

use anyhow::{Result, ensure};
use ipnet::IpNet;
use netpath_agent::datapath::{Datapath, Error};

use crate::world::{Model, World, compare, entry, key};

const SERVICES: u32 = 16;
const BACKENDS: u32 = 8;
/// Slots for each backend.
const SLOTS: u32 = 4;

#[test]
fn full_maps_are_named() -> Result<()> {
    let world = World::new(SERVICES, BACKENDS)?;
    let mut datapath = world.open()?;
    let mut model = Model::new();
    // Again and again: what failed leaves nothing behind.
    for _ in 0..50 {
        fill(&mut datapath, &mut model)?;
        for key in std::mem::take(&mut model).into_keys() {
            datapath.remove_service(&key)?;
        }
        datapath.settle_services();
        compare(&datapath, &model)?;
    }
    Ok(())
}

fn fill(datapath: &mut Datapath, model: &mut Model) -> Result<()> {
    let mut put = |number, entry| -> Result<()> {
        datapath.put_service(key(number), &entry)?;
        model.insert(key(number), entry);
        Ok(())
    };
    put(0, entry(0, 0..BACKENDS))?;
    for number in 1..SERVICES {
        put(number, entry(number, [number % BACKENDS]))?;
    }
    compare(datapath, model)?;
    let refused = |datapath: &mut Datapath, number, entry, map: &str, capacity| -> Result<()> {
        let error = datapath.put_service(key(number), &entry).expect_err("it does not fit");
        ensure!(
            matches!(error, Error::Full { map: full, capacity: found }
            if full == map && found == capacity),
            "{error}, expected that {map} is full"
        );
        Ok(())
    };
    refused(datapath, SERVICES, entry(1, [0]), "services", SERVICES)?;
    let last = SERVICES - 1;
    model.remove(&key(last));
    datapath.remove_service(&key(last))?;
    datapath.settle_services();
    refused(datapath, last, entry(1, [0, BACKENDS]), "backends", BACKENDS)?;
    let all = (BACKENDS * SLOTS) as usize;
    let used = BACKENDS + BACKENDS;
    let fits = all - used as usize;
    refused(
        datapath,
        last,
        entry(1, std::iter::repeat_n(0, fits + 1)),
        "service_slots",
        BACKENDS * SLOTS,
    )?;
    compare(datapath, model)?;
    let exact = entry(1, std::iter::repeat_n(0, fits));
    datapath.put_service(key(last), &exact)?;
    model.insert(key(last), exact);
    // A change has room, even if it is one of everybody.
    let others = entry(2, BACKENDS..2 * BACKENDS);
    datapath.put_service(key(0), &others)?;
    model.insert(key(0), others);
    compare(datapath, model)?;
    // But not for more than there is.
    for (number, count, map) in [(0, 1000, "backends"), (1, 1_000_000, "service_slots")] {
        let numbers = (0..count).map(|number| if map == "backends" { number } else { 0 });
        let error = datapath.put_service(key(number), &entry(9, numbers));
        ensure!(error.as_ref().is_err_and(Error::is_full), "{error:?}, expected {map} to be full");
    }
    datapath.settle_services();
    compare(datapath, model)
}

#[test]
fn source_ranges_come_and_go() -> Result<()> {
    let mut datapath = World::new(SERVICES, BACKENDS)?.open()?;
    let prefixes = |datapath: &Datapath| -> Result<Vec<(u32, IpNet)>> {
        let mut found = Vec::new();
        datapath.each_source(|id, prefix| found.push((id, prefix)))?;
        found.sort();
        Ok(found)
    };
    let any: [IpNet; 4] = ["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00:1::/32"].map(parse);
    let mut expected: Vec<_> =
        [3, 7].iter().flat_map(|id| any.map(|prefix| (*id, prefix))).collect();
    expected.sort();
    for (id, prefix) in &expected {
        datapath.put_source(*id, prefix)?;
        datapath.put_source(*id, prefix)?;
    }
    ensure!(prefixes(&datapath)? == expected, "{:?}", prefixes(&datapath)?);
    for number in 8..SERVICES {
        datapath.put_source(number, &parse("192.0.2.1/32"))?;
    }
    let error = datapath.put_source(1, &parse("192.0.2.1/32")).expect_err("it does not fit");
    ensure!(matches!(error, Error::Full { map: "service_sources", .. }), "{error}");
    ensure!(error.to_string().contains("[capacity] services"), "{error}");
    for (id, prefix) in prefixes(&datapath)? {
        datapath.remove_source(id, &prefix)?;
        datapath.remove_source(id, &prefix)?;
    }
    ensure!(prefixes(&datapath)?.is_empty());
    Ok(())
}

fn parse(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}
