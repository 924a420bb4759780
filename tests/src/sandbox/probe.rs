//! One question and its answer by ICMP, TCP or UDP, asked from inside a namespace.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    namespace::Namespace,
    server::{ECHO_PORT, NAME, WHO},
    wait,
};

/// How a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// Echo request and reply, of either family.
    Icmp,
    /// A connection to the echo server.
    Tcp,
    /// A datagram to the echo server.
    Udp,
}

impl Proto {
    /// All of them, in the order of every table.
    pub const ALL: [Self; 3] = [Self::Icmp, Self::Tcp, Self::Udp];

    /// The name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How long one try may take: far more than a round trip in an emulated guest, and past the
/// first retransmission of a neighbour request.
const TRY: Duration = Duration::from_millis(1500);

/// Pause after an error that came at once (unreachable, refused).
const PACE: Duration = Duration::from_millis(50);

/// How patient a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(u32);

impl Patience {
    /// For an answer that should come: a lost packet is repeated.
    pub const EXPECTED: Self = Self(4);
    /// For an answer that should not come.
    pub const UNEXPECTED: Self = Self(1);
}

/// Asks `to` from inside `from` and says whether the right answer came from it in time.
pub fn probe(from: &Namespace, to: IpAddr, proto: Proto, patience: Patience) -> Result<bool> {
    probe_port(from, to, ECHO_PORT, proto, patience)
}

/// The same for an echo server on another port; ICMP has none and ignores it.
pub fn probe_port(
    from: &Namespace,
    to: IpAddr,
    port: u16,
    proto: Proto,
    patience: Patience,
) -> Result<bool> {
    from.enter(|| probe_here(to, port, proto, patience))
}

/// The same from the namespace that the caller is in.
pub fn probe_here(to: IpAddr, port: u16, proto: Proto, patience: Patience) -> Result<bool> {
    let peer = SocketAddr::new(to, port);
    let answer = ask(to, patience, |left| match proto {
        Proto::Icmp => ping(to, 56, left),
        Proto::Tcp => ask_tcp(peer, ECHO, left).and_then(|answer| expect(&answer)),
        Proto::Udp => ask_udp(peer, ECHO, left).and_then(|answer| expect(&answer)),
    })?;
    Ok(answer.is_some())
}

/// Whom an echo server takes the asker for; `None` if it does not answer.
pub fn who(
    from: &Namespace,
    to: SocketAddr,
    proto: Proto,
    patience: Patience,
) -> Result<Option<IpAddr>> {
    address(from, to, proto, patience, WHO)
}

/// Which echo server answers, by its own address; `None` if none does.
pub fn name(
    from: &Namespace,
    to: SocketAddr,
    proto: Proto,
    patience: Patience,
) -> Result<Option<IpAddr>> {
    address(from, to, proto, patience, NAME)
}

fn address(
    from: &Namespace,
    to: SocketAddr,
    proto: Proto,
    patience: Patience,
    question: &[u8],
) -> Result<Option<IpAddr>> {
    let read = |answer: Vec<u8>| {
        let text = std::str::from_utf8(&answer).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| ErrorKind::InvalidData.into())
    };
    from.enter(|| {
        ask(to.ip(), patience, |left| match proto {
            Proto::Icmp => Err(ErrorKind::Unsupported.into()),
            Proto::Tcp => ask_tcp(to, question, left).and_then(read),
            Proto::Udp => ask_udp(to, question, left).and_then(read),
        })
    })
}

/// Pings with `size` bytes of data.
pub fn ping_of(from: &Namespace, to: IpAddr, size: usize, patience: Patience) -> Result<bool> {
    let answer = from.enter(|| ask(to, patience, |left| ping(to, size, left)))?;
    Ok(answer.is_some())
}

/// Asks again until there is an answer or patience is at an end.
fn ask<T>(
    to: IpAddr,
    patience: Patience,
    question: impl Fn(Duration) -> io::Result<T>,
) -> Result<Option<T>> {
    for _ in 0..patience.0 {
        wait::check_interrupt()?;
        let deadline = Instant::now() + TRY;
        while let Some(left) = left_until(deadline) {
            match question(left) {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if is_silence(&error) => break,
                Err(error) if is_network(&error) => {
                    thread::sleep(PACE.min(left_until(deadline).unwrap_or_default()));
                }
                Err(error) => return Err(error).with_context(|| format!("probe {to}")),
            }
        }
    }
    Ok(None)
}

fn left_until(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// Nothing came in time.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The network said no; anything else is a defect of the test.
fn is_network(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            // By a program of a cgroup that has no other way to say it (before Linux 5.18).
            | ErrorKind::PermissionDenied
            | ErrorKind::UnexpectedEof
    )
}

/// Sends one echo request with `size` bytes of data and waits for its reply.
///
/// A ping socket of the kernel: it owns the identifier, so that probes running side by side do
/// not see each other's replies.
fn ping(to: IpAddr, size: usize, limit: Duration) -> io::Result<()> {
    Pinger::open(to)?.ping(size, limit)
}

/// An open ping socket, for more than one request.
#[derive(Debug)]
pub struct Pinger {
    socket: Socket,
    request: u8,
}

impl Pinger {
    /// A ping socket in the namespace of the calling thread.
    pub fn open(to: IpAddr) -> io::Result<Self> {
        let (domain, protocol, request) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.connect(&SocketAddr::new(to, 0).into())?;
        Ok(Self { socket, request })
    }

    /// Sends one request and waits for its reply; late replies to earlier ones are skipped.
    pub fn ping(&mut self, size: usize, limit: Duration) -> io::Result<()> {
        static SEQUENCE: AtomicU16 = AtomicU16::new(0);
        // Type, code, checksum and identifier (the kernel's), sequence number, data.
        let mut message = vec![0; 8 + size];
        message[0] = self.request;
        message[6..8].copy_from_slice(&SEQUENCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        for (at, byte) in message[8..].iter_mut().enumerate() {
            *byte = at.to_le_bytes()[0];
        }
        self.socket.send(&message)?;
        let deadline = Instant::now() + limit;
        let mut reply = vec![0; message.len() + 1];
        while let Some(left) = left_until(deadline) {
            self.socket.set_read_timeout(Some(left))?;
            let length = self.socket.read(&mut reply)?;
            if reply[6..length] == message[6..] {
                return Ok(());
            }
        }
        Err(ErrorKind::TimedOut.into())
    }
}

/// What is sent to be echoed.
const ECHO: &[u8] = b"netpath";
/// The longest answer: an address.
const ANSWER: usize = 64;

/// The answer to a question: as long as it, or to the end of the connection.
fn ask_tcp(peer: SocketAddr, question: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&peer, limit).map_err(over)?;
    connection.set_read_timeout(Some(limit))?;
    connection.set_write_timeout(Some(limit))?;
    connection.write_all(question)?;
    let mut answer = vec![0; if question == ECHO { ECHO.len() } else { ANSWER }];
    let mut length = 0;
    while length < answer.len() {
        match connection.read(&mut answer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    if length == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    answer.truncate(length);
    Ok(answer)
}

/// A connection that was over before anybody looked, with no error left to tell: the library has
/// words of its own for what poll(2) shows then.
fn over(error: io::Error) -> io::Error {
    let told = error.raw_os_error().is_some() || is_silence(&error);
    if told { error } else { ErrorKind::ConnectionReset.into() }
}

fn ask_udp(peer: SocketAddr, question: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // Connected: only an answer from the very address that was asked is received.
    socket.connect(peer)?;
    socket.set_read_timeout(Some(limit))?;
    socket.send(question)?;
    let mut answer = vec![0; ANSWER];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn expect(answer: &[u8]) -> io::Result<()> {
    if answer == ECHO { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}
