//! Raw frames in and out of an interface.

use std::{
    io::{ErrorKind, Read as _},
    mem::size_of,
};

use anyhow::{Context as _, Result, ensure};
use nix::{libc, net::if_::if_nametoindex};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::namespace::Namespace;

/// Packet sockets bound to one interface: they send frames as they are, and hear frames from now
/// on.
#[derive(Debug)]
pub struct Wire {
    sockets: Vec<Socket>,
}

impl Wire {
    /// Hears all that the interface sends or receives, before TC ingress and after TC egress.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        Self::hear(namespace, interface, &[libc::ETH_P_ALL])
    }

    /// Hears what the interface received and the stack gets: the kernel serves packet sockets of
    /// one protocol after TC ingress and after `rx_handler`s (`__netif_receive_skb_core`).
    pub fn open_stack(namespace: &Namespace, interface: &str) -> Result<Self> {
        Self::hear(namespace, interface, &[libc::ETH_P_IP, libc::ETH_P_IPV6, libc::ETH_P_ARP])
    }

    fn hear(namespace: &Namespace, interface: &str, protocols: &[i32]) -> Result<Self> {
        let open = || {
            let index = if_nametoindex(interface)?;
            let sockets = protocols.iter().map(|&protocol| bound(index, protocol));
            Ok(Self { sockets: sockets.collect::<Result<_>>()? })
        };
        namespace
            .enter(open)
            .with_context(|| format!("packet socket on {interface} in {}", namespace.name()))
    }

    /// Sends a whole Ethernet frame. One that a program drops on the way out is sent as well.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let socket = self.sockets.first().context("no socket to send by")?;
        match socket.send(frame) {
            // The kernel tells a local sender what TC egress dropped (net_xmit_errno).
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(error) => Err(error).context("send a raw frame"),
            Ok(sent) => {
                ensure!(sent == frame.len(), "sent {sent} bytes of a frame of {}", frame.len());
                Ok(())
            }
        }
    }

    /// All frames heard since the last call.
    pub fn seen(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for socket in &mut self.sockets {
            loop {
                match socket.read(&mut buffer) {
                    Ok(length) => frames.push(buffer[..length].to_vec()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("read raw frames"),
                }
            }
        }
        Ok(frames)
    }
}

fn bound(interface: u32, protocol: i32) -> Result<Socket> {
    // Without a protocol it receives nothing until it is bound to its interface.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    // Room for the bursts of a loaded guest.
    socket.set_recv_buffer_size(4 << 20)?;
    socket.bind(&link_address(interface, u16::try_from(protocol)?.to_be())?)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
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
