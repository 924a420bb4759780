//! Clients, which learn who answers.

use std::{
    io::Read as _,
    net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};

/// How long an answer on the same machine may take at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who answers, and who the client believes it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) backend: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// Asks by TCP.
pub(crate) fn tcp(destination: SocketAddr) -> Result<Answer> {
    read(TcpStream::connect(destination)?)
}

/// Asks by TCP from a socket of IPv6, which names an IPv4 destination in its mapped form.
pub(crate) fn tcp_mapped(destination: SocketAddr) -> Result<Answer> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.connect(&mapped(destination).into())?;
    read(socket.into())
}

fn read(mut stream: TcpStream) -> Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    let peer = stream.peer_addr()?;
    stream.read_to_string(&mut text)?;
    Ok(Answer { backend: text.parse().with_context(|| text)?, peer })
}

/// Asks by a connected socket of UDP. Both `recvfrom` and `getpeername` name the peer.
pub(crate) fn udp(socket: &UdpSocket, destination: SocketAddr) -> Result<Answer> {
    socket.connect(destination)?;
    socket.send(b"?")?;
    let answer = receive(socket)?;
    anyhow::ensure!(socket.peer_addr()? == answer.peer, "{answer:?}, {:?}", socket.peer_addr());
    Ok(answer)
}

/// Asks by a socket of UDP.
pub(crate) fn udp_to(socket: &UdpSocket, destination: SocketAddr) -> Result<Answer> {
    socket.send_to(b"?", destination)?;
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Result<Answer> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut text = [0; 64];
    let (length, peer) = socket.recv_from(&mut text)?;
    let text = str::from_utf8(&text[..length])?;
    Ok(Answer { backend: text.parse().context("an answer")?, peer })
}

/// A socket of UDP of the family of a destination.
pub(crate) fn socket(like: SocketAddr) -> Result<UdpSocket> {
    let any = if like.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    Ok(UdpSocket::bind(any)?)
}

/// One of IPv6 that may ask IPv4 destinations too.
pub(crate) fn dual_socket() -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
    Ok(socket.into())
}

/// The mapped form.
pub(crate) fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        SocketAddr::V6(_) => address,
    }
}
