//! Who reads while a Service changes finds all of the old or all of the new.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use netpath_common::{
    Address, Services as _,
    service::{Client, Side, choose},
};

use crate::world::{Reader, World, entry, key};

/// How long the Service changes all the time.
const TIME: Duration = Duration::from_secs(3);
/// Backends of each list.
const LIST: u32 = 5;

#[test]
fn readers_never_see_half_a_change() -> Result<()> {
    // So few places that they are used again and again.
    let world = World::new(16, 64)?;
    let mut datapath = world.open()?;
    let readers = [world.reader()?, world.reader()?];
    datapath.put_service(key(1), &list(1))?;
    let over = AtomicBool::new(false);
    let flips = thread::scope(|scope| -> Result<u32> {
        let readers = readers.each_ref().map(|reader| scope.spawn(|| read(reader, &over)));
        let end = Instant::now() + TIME;
        let mut number = 1;
        let mut change = || -> Result<()> {
            while Instant::now() < end {
                number += 1;
                datapath.put_service(key(1), &list(number))?;
                datapath.settle_services();
            }
            Ok(())
        };
        let changed = change();
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (reads, stale) = reader.join().expect("a reader")?;
            println!("{reads} choices, {stale} of them over more than one change");
            ensure!(reads > 1000, "only {reads} choices");
        }
        changed.map(|()| number)
    })?;
    println!("{flips} changes");
    ensure!(flips > 100, "only {flips} changes");
    Ok(())
}

/// The backends of a list are its own; its number is the Service's.
fn list(number: u32) -> netpath_agent::service::Entry {
    entry(number, (0..LIST).map(|place| number * LIST + place))
}

/// Chooses again and again.
///
/// This is no program: it can be interrupted for longer than a grace period, and then reads what was
/// given to others meanwhile. Only what it finds while the Service stays the same, or changes once, is
/// what a program would find.
fn read(reader: &Reader, over: &AtomicBool) -> Result<(u64, u64)> {
    let (mut reads, mut stale) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let service = reader.service(&key(1)).context("the Service is gone")?;
        let client = Client {
            address: Address::default(),
            side: if reads % 2 == 0 { Side::Inside } else { Side::Outside },
            number: fastrand::u32(..),
            now: 0,
        };
        let chosen = choose(reader, &key(1), service, &client);
        let after = reader.service(&key(1)).context("the Service is gone")?;
        reads += 1;
        if after.id > service.id + 1 {
            stale += 1;
            continue;
        }
        let (_, backend) =
            chosen.with_context(|| format!("nobody answered for lists {service:?}, {after:?}"))?;
        let IpAddr::V4(address) = IpAddr::from(backend.address) else { unreachable!("IPv4 only") };
        let found = (address.to_bits() - Ipv4Addr::new(10, 0, 0, 0).to_bits()) / LIST;
        ensure!(
            (service.id..=after.id).contains(&found),
            "a backend of list {found} between {service:?} and {after:?}"
        );
    }
    Ok((reads, stale))
}
