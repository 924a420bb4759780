//! A backend that tells who it is.

use std::{
    io::Write as _,
    net::{Ipv6Addr, TcpListener},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sandbox::namespace::Namespace;

/// How often it looks whether it should end, in milliseconds.
const LOOK: u16 = 50;

/// Answers every TCP connection, in both families, with one byte; until it is dropped.
#[derive(Debug)]
pub(super) struct Answerer {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    /// Answers with `id` at a port in a namespace.
    pub(super) fn start(namespace: &Namespace, port: u16, id: u8) -> Result<Self> {
        let listen = || {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
            listener.with_context(|| format!("listen at port {port} in {}", namespace.name()))
        };
        let listener = namespace.enter(listen)?;
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || answer(&listener, id, &until));
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

fn answer(listener: &TcpListener, id: u8, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut waiting, PollTimeout::from(LOOK)), Ok(1)) {
            continue;
        }
        if let Ok((mut client, _)) = listener.accept() {
            // Who asked may have gone.
            let _ = client.write_all(&[id]);
        }
    }
}
