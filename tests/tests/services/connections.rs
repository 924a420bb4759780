//! Many connections.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use netpath_agent::connection::{Swept, Timeouts, move_on, pairs, sweep};
use netpath_common::{
    Address, BackendId, Connection, FlowKey,
    connection::{FLAG_FORWARD, FLAG_SYN},
};

use crate::world::World;

const CONNECTIONS: u32 = 50_000;

const NOW: Duration = Duration::from_secs(1_000_000);
const TIMEOUTS: Timeouts = Timeouts {
    tcp: Duration::from_secs(1000),
    tcp_brief: Duration::from_mins(1),
    other: Duration::from_secs(100),
};
const TCP: u32 = 6;
const UDP: u32 = 17;

/// Both directions of a client's connection to a backend, with their keys; idle for so many seconds.
fn connection(
    protocol: u32,
    client: u32,
    backend: BackendId,
    idle: u64,
) -> [(FlowKey, Connection); 2] {
    let client: Address = Ipv4Addr::from_bits(0x0a00_0000 + client).into();
    let service: Address = Ipv4Addr::new(10, 96, 0, 1).into();
    let answers: Address = Ipv4Addr::new(10, 200, 0, 1).into();
    let seen = (NOW.as_secs() - idle) * 1_000_000_000;
    let key = FlowKey { source: client, destination: service, protocol, ..FlowKey::default() };
    let common = Connection { backend, seen, ..Connection::default() };
    let forward = Connection {
        source: client,
        destination: answers,
        flags: FLAG_FORWARD | FLAG_SYN,
        ..common
    };
    let back = Connection { source: service, destination: client, flags: FLAG_SYN, ..common };
    [(key, forward), (forward.reverse_key(protocol), back)]
}

#[test]
fn a_hundred_thousand_entries_are_looked_through() -> Result<()> {
    let world = World::new(64, 64)?;
    let datapath = world.open()?;
    let mut map = world.connections()?;
    for number in 0..CONNECTIONS {
        for (key, entry) in connection(TCP, number, BackendId::default(), 10) {
            map.insert(key, entry, 0)?;
        }
    }
    let mut connections = datapath.connections()?;
    let begin = Instant::now();
    let count = connections.count()?;
    let read = begin.elapsed();
    ensure!(count == 2 * CONNECTIONS as usize, "{count} entries");
    let fill = datapath.fill()?.into_iter().find(|fill| fill.name == "connections");
    ensure!(fill.is_some_and(|fill| fill.used == 2 * CONNECTIONS), "{fill:?}");
    let mut look = |now| -> Result<_> {
        let begin = Instant::now();
        let swept = sweep(&mut connections, &TIMEOUTS, now)?;
        Ok((swept, begin.elapsed()))
    };
    let begin = Instant::now();
    move_on(&mut datapath.connections()?, NOW, |backend| backend.place == 7)?;
    let moved = begin.elapsed();
    let (swept, looked) = look(NOW)?;
    ensure!(swept == Swept { entries: count, forgotten: 0 }, "{swept:?}");
    let (swept, forgotten) = look(NOW + TIMEOUTS.tcp)?;
    ensure!(swept == Swept { entries: count, forgotten: CONNECTIONS as usize }, "{swept:?}");
    let (swept, empty) = look(NOW)?;
    ensure!(swept == Swept::default(), "{swept:?}");
    println!(
        "{count} entries read in {read:?}, asked for gone backends in {moved:?}, looked through in {looked:?}, forgotten in {forgotten:?}; an \
         empty table is looked through in {empty:?}"
    );
    Ok(())
}

#[test]
fn what_is_over_is_forgotten_and_nothing_else() -> Result<()> {
    let world = World::new(64, 64)?;
    let datapath = world.open()?;
    let mut map = world.connections()?;
    let (here, gone, reused) = (
        BackendId { place: 1, generation: 1 },
        BackendId { place: 2, generation: 2 },
        BackendId { place: 2, generation: 3 },
    );
    let mut put = |protocol, client, backend, idle, directions: &[usize]| -> Result<()> {
        let both = connection(protocol, client, backend, idle);
        for direction in directions {
            let (key, entry) = both[*direction];
            map.insert(key, entry, 0)?;
        }
        Ok(())
    };
    // (protocol, backend, idle, directions, whether it stays)
    let cases: [(u32, BackendId, u64, &[usize], bool); 11] = [
        (TCP, here, 999, &[0, 1], true),
        (TCP, here, 1000, &[0, 1], false),
        (UDP, here, 99, &[0, 1], true),
        (UDP, here, 100, &[0, 1], false),
        (TCP, gone, 0, &[0, 1], true),
        (UDP, gone, 50, &[0, 1], false),
        (UDP, reused, 0, &[0, 1], true),
        (TCP, here, 4, &[0], true),
        (TCP, here, 6, &[0], false),
        (UDP, here, 4, &[1], true),
        (UDP, here, 6, &[1], false),
    ];
    for (client, (protocol, backend, idle, directions, _)) in (0..).zip(cases) {
        put(protocol, client, backend, idle, directions)?;
    }
    let mut connections = datapath.connections()?;
    let moved = move_on(&mut connections, NOW, |backend| *backend == gone)?;
    ensure!(moved == 1, "{moved} moved on");
    let swept = sweep(&mut connections, &TIMEOUTS, NOW)?;
    let over = cases.iter().filter(|case| !case.4).count() - moved;
    // Of what has moved on the way back is left.
    let entries = cases.iter().map(|case| case.3.len()).sum::<usize>() - moved;
    ensure!(swept == Swept { entries, forgotten: over }, "{swept:?}");
    for (client, (protocol, backend, idle, directions, stays)) in (0..).zip(cases) {
        let both = connection(protocol, client, backend, idle);
        for direction in [0, 1] {
            let (key, entry) = both[direction];
            let left = (protocol, backend, direction) == (UDP, gone, 1);
            let seen = if left { u64::try_from(NOW.as_nanos())? } else { entry.seen };
            let expected = (left || stays && directions.contains(&direction))
                .then_some(Connection { seen, ..entry });
            ensure!(connections.get(&key)? == expected, "case {client}, direction {direction}");
        }
    }
    let whole = cases.iter().filter(|case| case.4 && case.3.len() == 2).count();
    ensure!(pairs(&connections)?.len() == whole);
    let late = NOW + Duration::from_secs(6);
    sweep(&mut connections, &TIMEOUTS, late)?;
    let left = pairs(&connections)?.len();
    ensure!(connections.count()? == 2 * left, "a way back is left after its moment");
    Ok(())
}
