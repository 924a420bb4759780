//! `bind(2)`: node ports are taken.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
};

use anyhow::{Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};

use crate::{
    tables::{PROTOCOLS, TCP, node_port},
    world::World,
};

pub(crate) fn node_ports(world: &mut World) -> Result<()> {
    for family in [0, 1] {
        let services = world.services();
        let (port, free) = (world.port(), world.port());
        let node = World::node(port)[family];
        let backends = &services[family].1;
        let any = if family == 0 {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
        };
        for protocol in PROTOCOLS {
            bind(any, protocol)?;
            let written = world.tables.put(node_port(node, protocol), backends, 0)?;
            // A socket of IPv6 listens to IPv4 as well.
            let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            for taken in [any, node, both] {
                refused(&bind(taken, protocol), taken)?;
            }
            bind(SocketAddr::new(any.ip(), free), protocol)?;
            bind(SocketAddr::new(backends[0].ip(), port), protocol)?;
            elsewhere(|| bind(any, protocol))?;
            world.tables.remove(&written)?;
            bind(any, protocol)?;
        }
    }
    Ok(())
}

fn bind(address: SocketAddr, protocol: u8) -> io::Result<()> {
    if protocol == TCP {
        TcpListener::bind(address).map(drop)
    } else {
        UdpSocket::bind(address).map(drop)
    }
}

/// Kernels before 6.1 let programs say no more than no.
fn refused(bound: &io::Result<()>, address: SocketAddr) -> Result<()> {
    let expected = if netpath_tests::sandbox::kernel::at_least(6, 1)? {
        ErrorKind::AddrInUse
    } else {
        ErrorKind::PermissionDenied
    };
    ensure!(bound.as_ref().is_err_and(|error| error.kind() == expected), "{address}: {bound:?}");
    Ok(())
}

/// Does something in another network namespace.
fn elsewhere(work: impl FnOnce() -> io::Result<()> + Send) -> Result<()> {
    let inside = || -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(work()?)
    };
    thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("a thread panicked"))?
}
