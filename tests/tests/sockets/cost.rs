//! What the programs cost: nanoseconds of `socket`, `connect` and `close` of UDP.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsRawFd as _,
    time::Instant,
};

use anyhow::{Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::{
    tables::{UDP, key},
    world::World,
};

/// Rounds, of which the median counts, and connections of each.
const ROUNDS: usize = 41;
const CONNECTIONS: u32 = 500;

/// Services of the second measurement, beside those of the other checks.
const SERVICES: u16 = 10_000;

pub(crate) fn connecting(world: &mut World) -> Result<()> {
    let [few, many] = [measure(world)?, {
        let [(_, backends), _] = world.services();
        for number in 0..SERVICES {
            let [high, low] = number.to_be_bytes();
            let address = SocketAddr::from((Ipv4Addr::new(10, 97, high, low), 80));
            world.tables.put(key(address, UDP), &backends[..0], 0)?;
        }
        measure(world)?
    }];
    println!("ns of socket, connect and close        without  past a Service  to a Service");
    for (services, costs) in [("some".to_owned(), few), (SERVICES.to_string(), many)] {
        for (family, [without, past, to]) in ["IPv4", "IPv6"].iter().zip(costs) {
            println!("{family}, {services:>6} Services {without:>24} {past:>15} {to:>13}");
        }
    }
    Ok(())
}

/// Medians by family: without the programs, with them but past a Service, and to one.
fn measure(world: &mut World) -> Result<[[u64; 3]; 2]> {
    let services = world.services();
    for (service, backends) in &services {
        world.tables.put(key(*service, UDP), backends, 0)?;
    }
    let mut rounds = [(); 2].map(|()| [(); 3].map(|()| Vec::with_capacity(ROUNDS)));
    for _ in 0..ROUNDS {
        for ((service, backends), costs) in services.iter().zip(&mut rounds) {
            world.tree.leave()?;
            costs[0].push(round(backends[0])?);
            world.cgroup.join()?;
            costs[1].push(round(backends[0])?);
            costs[2].push(round(*service)?);
        }
    }
    let median = |mut costs: Vec<u64>| {
        costs.sort_unstable();
        costs[ROUNDS / 2]
    };
    let medians = rounds.map(|costs| costs.map(median));
    ensure!(medians.iter().flatten().all(|cost| *cost > 0), "{medians:?}");
    Ok(medians)
}

/// Mean nanoseconds of a connection.
fn round(destination: SocketAddr) -> Result<u64> {
    let family = if destination.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let destination = SockaddrStorage::from(destination);
    let begin = Instant::now();
    for _ in 0..CONNECTIONS {
        let socket = socket(family, SockType::Datagram, SockFlag::empty(), None)?;
        connect(socket.as_raw_fd(), &destination)?;
    }
    Ok(u64::try_from(begin.elapsed().as_nanos())? / u64::from(CONNECTIONS))
}
