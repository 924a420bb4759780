//! A backend that tells who it is.

use std::{
    io::Write as _,
    net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::namespace::Namespace;

/// How often it looks whether it should end, in milliseconds.
const LOOK: u16 = 50;

/// Answers every TCP connection and every UDP datagram with one byte, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answerer {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    /// Answers with `id` at a port in a namespace, whatever the address.
    pub(crate) fn start(namespace: &Namespace, port: u16, id: u8) -> Result<Self> {
        Self::start_at(namespace, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), id)
    }

    /// The same at one address.
    pub(crate) fn start_at(namespace: &Namespace, place: SocketAddr, id: u8) -> Result<Self> {
        let open = || Ok((TcpListener::bind(place)?, UdpSocket::bind(place)?));
        let (listener, socket) = namespace
            .enter(open)
            .with_context(|| format!("answer at {place} in {}", namespace.name()))?;
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || answer(&listener, &socket, id, &until));
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed.
            let _ = thread.join();
        }
    }
}

fn answer(listener: &TcpListener, socket: &UdpSocket, id: u8, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let mut waiting = [listener.as_fd(), socket.as_fd()]
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN));
        if !matches!(poll(&mut waiting, PollTimeout::from(LOOK)), Ok(1..)) {
            continue;
        }
        let [connection, datagram] = waiting.map(|one| one.any().unwrap_or(false));
        // Who asked may have gone.
        if connection && let Ok((mut client, _)) = listener.accept() {
            let _ = client.write_all(&[id]);
        }
        let mut question = [0; 512];
        if datagram && let Ok((_, client)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&[id], client);
        }
    }
}
