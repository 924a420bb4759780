//! Single datagrams of a size, with their echo.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{errno::Errno, libc};

use super::{namespace::Namespace, wait};

/// How long one datagram's echo may take.
const TRY: Duration = Duration::from_millis(1500);
/// How long the whole may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of IP and UDP headers.
const fn headers(peer: SocketAddr) -> usize {
    if peer.is_ipv4() { 28 } else { 48 }
}

/// Learns what the path to `peer`, an echo server, carries, as programs do that want no fragments:
/// a datagram of `local` bytes with its headers is refused once the path's answer has come, and one
/// of as much as the kernel knows by then is echoed. Returns that size.
pub fn discover(from: &Namespace, peer: SocketAddr, local: usize) -> Result<usize> {
    let socket = open(from, peer)?;
    // Never to be fragmented.
    let (level, discover, mtu) = match peer {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_MTU),
    };
    set(&socket, level, discover, libc::IP_PMTUDISC_DO)?;
    let what = format!("a datagram of {local} bytes is too long, and the kernel knows for what");
    let path = wait::until(&what, PATIENCE, || {
        match socket.send(&vec![1; local - headers(peer)]) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                let path = usize::try_from(get(&socket, level, mtu)?)?;
                if path < local {
                    return Ok(Some(path));
                }
                // The answer came while this socket's route was being looked up anew: Linux keeps it in
                // an exception to that route, and the socket keeps the route without it.
                Ok(socket.connect(peer).map(|()| None)?)
            }
            ended => Ok(ended.map(|_| None)?),
        }
    })?;
    echo(&socket, path - headers(peer)).map(|()| path)
}

/// Sends a datagram of `size` bytes, in fragments if need be, and waits for its echo.
pub fn fragmented(from: &Namespace, peer: SocketAddr, size: usize) -> Result<()> {
    echo(&open(from, peer)?, size)
}

fn open(from: &Namespace, peer: SocketAddr) -> Result<UdpSocket> {
    from.enter(|| {
        let socket = UdpSocket::bind(if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(peer)?;
        socket.set_read_timeout(Some(TRY))?;
        Ok(socket)
    })
}

/// Until an echo comes: errors of the path's may cost one.
fn echo(socket: &UdpSocket, size: usize) -> Result<()> {
    let datagram = vec![2; size];
    let mut answer = vec![0; usize::from(u16::MAX)];
    let what = format!("the echo of {size} bytes");
    wait::until(&what, PATIENCE, || {
        let echoed = socket.send(&datagram).and_then(|_| socket.recv(&mut answer));
        match echoed {
            Ok(length) => Ok((answer[..length] == datagram).then_some(())),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error).context("exchange datagrams"),
        }
    })
}

/// Nothing came in time, or the path said how much it carries.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        || error.raw_os_error() == Some(libc::EMSGSIZE)
}

fn set(socket: &UdpSocket, level: i32, option: i32, value: i32) -> Result<()> {
    // SAFETY: the value is an integer, as these options want, and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            libc::socklen_t::try_from(size_of_val(&value))?,
        )
    };
    Errno::result(result).map(drop).context("set a socket's option")
}

fn get(socket: &UdpSocket, level: i32, option: i32) -> Result<i32> {
    let mut value = 0_i32;
    let mut length = libc::socklen_t::try_from(size_of_val(&value))?;
    // SAFETY: the kernel writes at most `length` bytes, the size of the integer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).context("read a socket's option")?;
    Ok(value)
}
