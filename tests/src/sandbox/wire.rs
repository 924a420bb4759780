//! Raw frames in and out of an interface.

use std::{
    io::{ErrorKind, Read as _},
    mem::size_of,
};

use anyhow::{Context as _, Result, ensure};
use nix::{libc, net::if_::if_nametoindex};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::namespace::Namespace;

/// A packet socket bound to one interface: it sends frames as they are, and receives all frames
/// that the interface sends or receives from now on.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
}

impl Wire {
    /// Opens the interface of that name in `namespace`.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let open = || {
            // Without a protocol it receives nothing until it is bound to its interface.
            let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
            // Room for the bursts of a loaded guest.
            socket.set_recv_buffer_size(4 << 20)?;
            let every = u16::try_from(libc::ETH_P_ALL)?.to_be();
            socket.bind(&link_address(if_nametoindex(interface)?, every)?)?;
            socket.set_nonblocking(true)?;
            anyhow::Ok(Self { socket })
        };
        namespace
            .enter(open)
            .with_context(|| format!("packet socket on {interface} in {}", namespace.name()))
    }

    /// Sends a whole Ethernet frame.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = self.socket.send(frame).context("send a raw frame")?;
        ensure!(sent == frame.len(), "sent {sent} bytes of a frame of {}", frame.len());
        Ok(())
    }

    /// All frames seen since the last call.
    pub fn seen(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(frames),
                Err(error) => return Err(error).context("read raw frames"),
            }
        }
    }
}

fn link_address(index: u32, protocol: u16) -> Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is the kernel's address of AF_PACKET and fits the storage.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = u16::try_from(libc::AF_PACKET)?;
    link.sll_protocol = protocol;
    link.sll_ifindex = i32::try_from(index)?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>())?;
    // SAFETY: the storage holds a sockaddr_ll, whose length this is.
    Ok(unsafe { SockAddr::new(storage, length) })
}
