//! Many connections.

use std::time::Instant;

use anyhow::{Result, ensure};
use netpath_common::{Connection, FlowKey};

use crate::world::{World, backend};

const CONNECTIONS: u32 = 50_000;

#[test]
fn a_hundred_thousand_entries_are_read_at_once() -> Result<()> {
    let world = World::new(64, 64)?;
    let datapath = world.open()?;
    let mut map = world.connections()?;
    for number in 0..CONNECTIONS {
        for source in [backend(number), backend(number + CONNECTIONS)] {
            let key = FlowKey { source: source.address, protocol: 6, ..FlowKey::default() };
            map.insert(key, Connection::default(), 0)?;
        }
    }
    let mut connections = datapath.connections()?;
    let begin = Instant::now();
    let mut keys = Vec::new();
    connections.each(|key, _| keys.push(key))?;
    let took = begin.elapsed();
    println!("{} entries read in {took:?}", keys.len());
    ensure!(keys.len() == 2 * CONNECTIONS as usize && connections.count()? == keys.len());
    let fill = datapath.fill()?.into_iter().find(|fill| fill.name == "connections");
    ensure!(fill.is_some_and(|fill| fill.used == 2 * CONNECTIONS), "{fill:?}");
    let begin = Instant::now();
    for key in &keys {
        connections.remove(key)?;
    }
    println!("removed in {:?}", begin.elapsed());
    ensure!(connections.count()? == 0 && connections.get(&keys[0])?.is_none());
    connections.remove(&keys[0])?;
    Ok(())
}
