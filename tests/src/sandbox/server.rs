//! The servers of a namespace: TCP and UDP echo, and a TCP sink that checks what it gets.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd as _, unix::net::UnixStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use super::{namespace::Namespace, pattern::Pattern};

/// TCP and UDP: everything comes back (the echo service's own port).
pub const ECHO_PORT: u16 = 7;
/// What an echo server answers with the asker's address, as it sees it.
pub const WHO: &[u8] = b"who am I";
/// What an echo server answers with its own address.
pub const NAME: &[u8] = b"who are you";

/// TCP: reads to the end, compares with the pattern and answers with the number of good bytes
/// (the discard service's own port).
pub const SINK_PORT: u16 = 9;

/// A connection that says nothing for this long is given up.
const IDLE: Duration = Duration::from_mins(1);

/// The servers of one namespace; they stop when this is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// What a listener does with a connection.
pub type Serve = fn(TcpStream);
/// What is answered to a datagram, by its receiver and its sender.
pub type Reply = fn(&[u8], SocketAddr, SocketAddr) -> Vec<u8>;

impl Server {
    /// Serves in `namespace`. UDP sockets are bound to each of `addresses`, so that an answer
    /// comes from the address that was asked.
    pub fn start(namespace: &Namespace, addresses: &[IpAddr]) -> Result<Self> {
        Self::start_on(namespace, addresses, ECHO_PORT)
    }

    /// The same with the echo service on a port of the caller's choice.
    pub fn start_on(namespace: &Namespace, addresses: &[IpAddr], echo: u16) -> Result<Self> {
        let sockets = namespace.enter(|| Sockets::open(addresses, echo))?;
        Self::run(sockets)
    }

    /// The echo service alone, beside the servers that a namespace has.
    pub fn start_beside(namespace: &Namespace, addresses: &[IpAddr], echo: u16) -> Result<Self> {
        Self::start_other(namespace, addresses, echo, (serve_echo, reply_echo))
    }

    /// Another service, beside the servers that a namespace has.
    pub fn start_other(
        namespace: &Namespace,
        addresses: &[IpAddr],
        port: u16,
        (serve, reply): (Serve, Reply),
    ) -> Result<Self> {
        let sockets = namespace.enter(|| {
            let mut sockets = Sockets { listeners: Vec::new(), datagrams: Vec::new() };
            sockets.add(addresses, port, serve, reply)?;
            Ok(sockets)
        })?;
        Self::run(sockets)
    }

    fn run(sockets: Sockets) -> Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::spawn(move || sockets.serve(&stopped));
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// Serves echo and sink on every address of the caller's own namespace until the process ends.
/// `ready` is called once the sockets are open.
pub fn serve_here(ready: impl FnOnce() -> Result<()>) -> Result<()> {
    let sockets = Sockets::open(&ANY, ECHO_PORT)?;
    ready()?;
    let (_stop, stopped) = UnixStream::pair()?;
    sockets.serve(&stopped);
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing our end is what the thread polls for.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("netpath-sandbox: a server thread panicked");
        }
    }
}

/// Every address of a family.
const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// Open sockets; they belong to the namespace that they were opened in.
struct Sockets {
    listeners: Vec<(TcpListener, Serve)>,
    datagrams: Vec<(UdpSocket, SocketAddr, Reply)>,
}

impl Sockets {
    fn open(addresses: &[IpAddr], echo: u16) -> Result<Self> {
        let mut sockets = Self { listeners: Vec::new(), datagrams: Vec::new() };
        sockets.add(addresses, echo, serve_echo, reply_echo)?;
        for any in ANY {
            sockets.listeners.push((listen(SocketAddr::new(any, SINK_PORT))?, serve_sink));
        }
        Ok(sockets)
    }

    fn add(&mut self, addresses: &[IpAddr], port: u16, serve: Serve, reply: Reply) -> Result<()> {
        for any in ANY {
            self.listeners.push((listen(SocketAddr::new(any, port))?, serve));
        }
        for &address in addresses {
            let own = SocketAddr::new(address, port);
            self.datagrams.push((receive(own)?, own, reply));
        }
        Ok(())
    }

    fn serve(&self, stopped: &UnixStream) {
        let Self { listeners, datagrams } = self;
        let mut waits: Vec<PollFd<'_>> = listeners
            .iter()
            .map(|(listener, _)| listener.as_fd())
            .chain(datagrams.iter().map(|(socket, ..)| socket.as_fd()))
            .chain([stopped.as_fd()])
            .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
            .collect();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            match poll(&mut waits, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return eprintln!("netpath-sandbox: server: poll: {error}"),
            }
            if waits.last().and_then(PollFd::any) != Some(false) {
                return;
            }
            for &(ref listener, serve) in listeners {
                while let Ok((connection, _)) = listener.accept() {
                    thread::spawn(move || serve(connection));
                }
            }
            for (socket, own, reply) in datagrams {
                while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    // An answer that can not be sent is an answer lost: the asker reports it.
                    let _ = socket.send_to(&reply(&buffer[..length], *own, peer), peer);
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let open = || {
        let socket = bound(address, Type::STREAM)?;
        socket.listen(128)?;
        std::io::Result::Ok(socket.into())
    };
    open().with_context(|| format!("listen on {address} tcp"))
}

fn receive(address: SocketAddr) -> Result<UdpSocket> {
    let socket = bound(address, Type::DGRAM);
    socket.map(UdpSocket::from).with_context(|| format!("listen on {address} udp"))
}

fn bound(address: SocketAddr, kind: Type) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        // Otherwise the IPv6 socket would take the IPv4 one's port.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn reply_echo(question: &[u8], own: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    match question {
        WHO => peer.ip().to_string().into(),
        NAME => own.ip().to_string().into(),
        echo => echo.into(),
    }
}

/// Echoes until the peer closes; a broken connection is the peer's to report.
fn serve_echo(mut connection: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    if prepare(&connection).is_err() {
        return;
    }
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if buffer[..length] == *WHO => {
                let Ok(peer) = connection.peer_addr() else { return };
                // The end of the answer is the end of the connection.
                let _ = connection.write_all(peer.ip().to_string().as_bytes());
                return;
            }
            Ok(length) if buffer[..length] == *NAME => {
                let Ok(own) = connection.local_addr() else { return };
                let _ = connection.write_all(own.ip().to_string().as_bytes());
                return;
            }
            Ok(length) if connection.write_all(&buffer[..length]).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Reads to the end and answers with how many bytes were as the pattern says.
fn serve_sink(mut connection: TcpStream) {
    let pattern = Pattern::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut good = 0;
    if prepare(&connection).is_err() {
        return;
    }
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) if pattern.matches(good, &buffer[..length]) => good += length as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break,
        }
    }
    // A peer that is gone can not be told.
    let _ = connection.write_all(&good.to_be_bytes());
}

fn prepare(connection: &TcpStream) -> std::io::Result<()> {
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(IDLE))?;
    connection.set_write_timeout(Some(IDLE))
}
