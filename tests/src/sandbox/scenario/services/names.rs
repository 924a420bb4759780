//! By which name a client knows who answers: the address that it asked.

use std::{
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};

use super::{PORT, SERVICE, Stage};
use crate::sandbox::address::Family;

const PATIENCE: Duration = Duration::from_secs(5);

/// `getpeername` of TCP and of a connected UDP socket.
pub(super) fn peer(stage: &Stage) -> Result<()> {
    each(stage, |to, socket| {
        let peer = TcpStream::connect_timeout(&to, PATIENCE)?.peer_addr()?;
        ensure!(peer == to, "tcp: the peer of {to} is {peer}");
        socket.connect(to)?;
        let peer = socket.peer_addr()?;
        ensure!(peer == to, "udp: the peer of {to} is {peer}");
        Ok(())
    })
}

/// Who a datagram is from, for a socket that may talk to anybody.
pub(super) fn datagrams(stage: &Stage) -> Result<()> {
    each(stage, |to, socket| {
        let mut buffer = [0; 64];
        for _ in 0..10 {
            socket.send_to(b"netpath", to)?;
            let (length, from) = socket.recv_from(&mut buffer)?;
            ensure!(buffer[..length] == *b"netpath" && from == to, "{to} answers from {from}");
        }
        Ok(())
    })
}

/// Every client at the Service's address, backends being on both nodes.
fn each(stage: &Stage, check: fn(SocketAddr, &UdpSocket) -> Result<()>) -> Result<()> {
    stage.apply(&stage.endpoints(&["q1", "q2"])?, &[])?;
    for client in stage.clients()? {
        for family in Family::BOTH {
            let to = SocketAddr::new(SERVICE.of(family), PORT);
            client.namespace.enter(|| {
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                check(to, &socket)
            })?;
        }
    }
    Ok(())
}
