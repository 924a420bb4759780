//! `sendto(2)` and `recvfrom(2)` of sockets that are not connected.

use anyhow::{Result, ensure};

use crate::{
    client::{self, Answer},
    connect::refused,
    tables::{UDP, key},
    world::{World, even},
};

/// Sockets of which the shares are looked at.
const MANY: usize = 300;
/// Messages of one socket.
const SOME: usize = 20;

pub(crate) fn answers(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        world.tables.put(key(service, UDP), &backends, 0)?;
        let socket = client::socket(service)?;
        let Answer { backend, peer } = client::udp_to(&socket, service)?;
        ensure!(backends.contains(&backend) && peer == service, "{backend}, {peer}");
        // What another socket asks a backend itself comes from there.
        let other = client::socket(service)?;
        let direct = client::udp_to(&other, backend)?;
        ensure!(direct == Answer { backend, peer: backend }, "{direct:?}");
    }
    Ok(())
}

pub(crate) fn mapped(world: &mut World) -> Result<()> {
    let [(service, backends), _] = world.services();
    world.tables.put(key(service, UDP), &backends, 0)?;
    let mapped = client::mapped(service);
    let Answer { backend, peer } = client::udp_to(&client::dual_socket()?, mapped)?;
    ensure!(backends.contains(&backend) && peer == mapped, "{backend}, {peer}");
    Ok(())
}

pub(crate) fn nobody(world: &mut World) -> Result<()> {
    for (service, _) in world.services() {
        world.tables.put(key(service, UDP), &[], 0)?;
        let socket = client::socket(service)?;
        refused(&client::udp_to(&socket, service).expect_err("UDP to nobody"))?;
    }
    Ok(())
}

pub(crate) fn stays(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        let mut written = world.tables.put(key(service, UDP), &backends, 0)?;
        let socket = client::socket(service)?;
        let mut left = backends.len();
        while left > 0 {
            let first = client::udp_to(&socket, service)?;
            for _ in 0..SOME {
                let again = client::udp_to(&socket, service)?;
                ensure!(again == first && again.peer == service, "{again:?} after {first:?}");
            }
            world.tables.lose(&mut written, first.backend)?;
            left -= 1;
        }
        refused(&client::udp_to(&socket, service).expect_err("all are gone"))?;
    }
    Ok(())
}

pub(crate) fn shares(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        world.tables.put(key(service, UDP), &backends, 0)?;
        let sockets: Vec<_> = (0..MANY).map(|_| client::socket(service)).collect::<Result<_>>()?;
        even(sockets.iter().map(|socket| Ok(client::udp_to(socket, service)?.backend)))?;
    }
    Ok(())
}
