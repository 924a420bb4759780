//! Sockets of others (`NETLINK_SOCK_DIAG`): those of UDP that are connected to a backend that is gone.
//!
//! Nobody can connect another's socket anew, but the kernel can end what it is used for
//! (`SOCK_DESTROY`, Linux 4.9, `CONFIG_INET_DIAG_DESTROY`): whoever uses it gets `ECONNABORTED`, and
//! asks the Service again.

use std::{collections::HashSet, io};

use netpath_common::{Address, SocketKey};
use nix::libc;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// `linux/sock_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;

/// `linux/netlink.h`.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Bytes of `struct nlmsghdr`, `struct inet_diag_req_v2`, and `struct inet_diag_sockid`.
const HEADER: usize = 16;
const QUESTION: usize = 56;
const ID: usize = 48;

/// Where an answer, and a question, have a socket's addresses.
const ANSWER_ID: usize = 4;
const QUESTION_ID: usize = QUESTION - ID;

/// Of connected sockets, as a mask (`TCP_ESTABLISHED`).
const CONNECTED: u32 = 1 << 1;

const UDP: u8 = 17;

/// Aborts sockets of UDP that are connected to the backends of their keys, in the network namespace of
/// the calling thread. Returns how many there were.
///
/// # Errors
///
/// The kernel lists no sockets of UDP (`udp_diag`), or can not end their use. One that was closed
/// meanwhile is no error.
pub fn abort_udp(sockets: &[SocketKey]) -> io::Result<usize> {
    let wanted: HashSet<_> = sockets.iter().copied().collect();
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut aborted = 0;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = family.to_le_bytes()[0];
        let everything = question(SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, family, &[0; ID]);
        for id in dump(&mut socket, &everything)? {
            if wanted.contains(&key(family, &id)) {
                let destroy = question(SOCK_DESTROY, REQUEST | ACK, family, &id);
                aborted += usize::from(ask(&mut socket, &destroy)?);
            }
        }
    }
    Ok(aborted)
}

fn question(kind: u16, flags: u16, family: u8, id: &[u8; ID]) -> Vec<u8> {
    let length = u32::try_from(HEADER + QUESTION).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, UDP, 0, 0]);
    message.extend(CONNECTED.to_ne_bytes());
    debug_assert_eq!(message.len(), HEADER + QUESTION_ID);
    message.extend(id);
    message
}

/// The addresses of all sockets that the kernel tells of.
fn dump(socket: &mut Socket, question: &[u8]) -> io::Result<Vec<[u8; ID]>> {
    socket.send(question, 0)?;
    let mut ids = Vec::new();
    let mut answer = Vec::with_capacity(1 << 16);
    loop {
        answer.clear();
        socket.recv(&mut answer, 0)?;
        let mut rest = answer.as_slice();
        while let Some((kind, body, after)) = split(rest) {
            rest = after;
            match kind {
                DONE => return Ok(ids),
                ERROR => return Err(error(body).unwrap_or_else(|| io::ErrorKind::Other.into())),
                _ => ids.extend(body.get(ANSWER_ID..).and_then(|body| body.first_chunk::<ID>())),
            }
        }
    }
}

/// Whether what was asked for was done; not if the socket is gone.
fn ask(socket: &mut Socket, question: &[u8]) -> io::Result<bool> {
    socket.send(question, 0)?;
    let mut answer = Vec::with_capacity(1 << 12);
    socket.recv(&mut answer, 0)?;
    let (_, body, _) = split(&answer).ok_or(io::ErrorKind::UnexpectedEof)?;
    match error(body) {
        None => Ok(true),
        Some(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Some(error) => Err(error),
    }
}

/// The type and the body of the first message, and what is behind it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let [a, b, c, d, e, f] = *bytes.first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes([e, f]), body, rest))
}

/// What an error message says; nothing if it says that all went well.
fn error(body: &[u8]) -> Option<io::Error> {
    match body.first_chunk().map_or(libc::EBADMSG, |code| -i32::from_ne_bytes(*code)) {
        0 => None,
        code => Some(io::Error::from_raw_os_error(code)),
    }
}

/// The key of a connected socket by its `struct inet_diag_sockid`: ports, addresses of both ends, an
/// interface and a cookie.
fn key(family: u8, id: &[u8; ID]) -> SocketKey {
    let [.., a, b, c, d, e, f, g, h] = *id;
    let (_, destination) = id.split_at(20);
    let octets = *destination.first_chunk::<16>().unwrap_or(&[0; 16]);
    let [first, second, third, fourth, ..] = octets;
    let backend = if i32::from(family) == libc::AF_INET {
        Address::v4([first, second, third, fourth])
    } else {
        Address::v6(octets)
    };
    SocketKey {
        cookie: u64::from(u32::from_ne_bytes([a, b, c, d]))
            | u64::from(u32::from_ne_bytes([e, f, g, h])) << 32,
        backend,
        port: u16::from_ne_bytes([id[2], id[3]]),
        protocol: UDP.into(),
        reserved: 0,
    }
}
