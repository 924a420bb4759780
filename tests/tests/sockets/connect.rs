//! `connect(2)` and `getpeername(2)`.

use std::{io::ErrorKind, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use netpath_agent::diag;

use crate::{
    client::{self, Answer},
    server,
    tables::{self, PROTOCOLS, TCP, UDP, key},
    world::{World, even},
};

/// Connections of which the shares are looked at.
const MANY: usize = 300;
/// Connections of one client.
const SOME: usize = 20;

pub(crate) fn tcp(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        world.tables.put(key(service, TCP), &backends, 0)?;
        let Answer { backend, peer } = client::tcp(service)?;
        ensure!(backends.contains(&backend) && peer == service, "{backend}, {peer}");
    }
    Ok(())
}

pub(crate) fn udp(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        world.tables.put(key(service, UDP), &backends, 0)?;
        let Answer { backend, peer } = client::udp(&client::socket(service)?, service)?;
        ensure!(backends.contains(&backend) && peer == service, "{backend}, {peer}");
    }
    Ok(())
}

pub(crate) fn mapped(world: &mut World) -> Result<()> {
    let [(service, backends), _] = world.services();
    for protocol in PROTOCOLS {
        world.tables.put(key(service, protocol), &backends, 0)?;
    }
    let mapped = client::mapped(service);
    let Answer { backend, peer } = client::tcp_mapped(service)?;
    ensure!(backends.contains(&backend) && peer == mapped, "{backend}, {peer}");
    let Answer { backend, peer } = client::udp(&client::dual_socket()?, mapped)?;
    ensure!(backends.contains(&backend) && peer == mapped, "{backend}, {peer}");
    Ok(())
}

pub(crate) fn past(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        // The other protocol of the same port is nobody's.
        world.tables.put(key(service, UDP), &backends, 0)?;
        ensure!(client::tcp(service).is_err(), "TCP to a Service of UDP");
        for backend in backends {
            let expected = Answer { backend, peer: backend };
            ensure!(client::tcp(backend)? == expected, "TCP to {backend}");
            let socket = client::socket(backend)?;
            ensure!(client::udp(&socket, backend)? == expected, "UDP to {backend}");
        }
    }
    Ok(())
}

pub(crate) fn nobody(world: &mut World) -> Result<()> {
    for (service, _) in world.services() {
        for protocol in PROTOCOLS {
            world.tables.put(key(service, protocol), &[], 0)?;
        }
        refused(&client::tcp(service).expect_err("TCP to nobody"))?;
        let socket = client::socket(service)?;
        refused(&client::udp(&socket, service).expect_err("UDP to nobody"))?;
    }
    Ok(())
}

/// Kernels before 6.1 let programs say no more than no.
pub(crate) fn refused(error: &anyhow::Error) -> Result<()> {
    let expected = if netpath_tests::sandbox::kernel::at_least(6, 1)? {
        ErrorKind::ConnectionRefused
    } else {
        ErrorKind::PermissionDenied
    };
    let found = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    ensure!(found == Some(expected), "{error:#}");
    Ok(())
}

pub(crate) fn node_port(world: &mut World) -> Result<()> {
    let services = world.services();
    let port = world.port();
    for ((_, backends), node) in services.into_iter().zip(World::node(port)) {
        for protocol in PROTOCOLS {
            world.tables.put(tables::node_port(node, protocol), &backends, 0)?;
        }
        let Answer { backend, peer } = client::tcp(node)?;
        ensure!(backends.contains(&backend) && peer == node, "{backend}, {peer}");
        let Answer { backend, peer } = client::udp(&client::socket(node)?, node)?;
        ensure!(backends.contains(&backend) && peer == node, "{backend}, {peer}");
        // The port of another address is not the node's.
        let other = SocketAddr::new(backend.ip(), port);
        ensure!(client::tcp(other).is_err(), "{other} is no node port");
    }
    Ok(())
}

pub(crate) fn affinity(world: &mut World) -> Result<()> {
    for (service, mut backends) in world.services() {
        let port = world.port();
        for backend in &mut backends {
            // No other Service's, so that it is gone when this one lets it go.
            backend.set_port(port);
            server::start(*backend)?;
        }
        let mut written = world.tables.put(key(service, TCP), &backends, 600)?;
        let first = client::tcp(service)?.backend;
        for _ in 0..SOME {
            ensure!(client::tcp(service)?.backend == first, "another than {first}");
        }
        world.tables.lose(&mut written, first)?;
        let second = client::tcp(service)?.backend;
        ensure!(second != first, "{first} is gone");
        for _ in 0..SOME {
            ensure!(client::tcp(service)?.backend == second, "another than {second}");
        }
    }
    Ok(())
}

pub(crate) fn shares(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        for protocol in PROTOCOLS {
            world.tables.put(key(service, protocol), &backends, 0)?;
        }
        even((0..MANY).map(|_| Ok(client::tcp(service)?.backend)))?;
        even((0..MANY).map(|_| Ok(client::udp(&client::socket(service)?, service)?.backend)))?;
    }
    Ok(())
}

/// A connected socket of UDP stays with its backend. When that goes, it is aborted: its owner asks again.
pub(crate) fn aborted(world: &mut World) -> Result<()> {
    for (service, backends) in world.services() {
        let mut written = world.tables.put(key(service, UDP), &backends, 0)?;
        let (asking, direct) = (client::socket(service)?, client::socket(service)?);
        let Answer { backend, .. } = client::udp(&asking, service)?;
        client::udp(&direct, backend)?;
        world.tables.lose(&mut written, backend)?;
        let known = world.tables.datapath.translated_sockets()?;
        let of_lost = known.into_iter().map(|(socket, _)| socket).filter(|socket| {
            socket.backend == backend.ip().into() && socket.protocol == u16::from(UDP)
        });
        let count = diag::abort_udp(&of_lost.collect::<Vec<_>>()).context("abort")?;
        ensure!(count == 1, "{count} sockets");
        let error = asking.recv(&mut [0; 8]).expect_err("aborted");
        ensure!(error.kind() == ErrorKind::ConnectionAborted, "{error}");
        let again = client::udp(&asking, service)?;
        ensure!(again.backend != backend && again.peer == service, "{again:?}");
        client::udp(&direct, backend).context("the socket of somebody else")?;
    }
    Ok(())
}
