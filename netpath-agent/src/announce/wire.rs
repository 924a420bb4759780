//! A packet socket on one interface.

use std::{
    io::{self, ErrorKind, Read as _},
    net::IpAddr,
    os::fd::AsRawFd as _,
    panic,
    sync::Arc,
};

use netpath_common::Mac;
use nix::libc;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
    task,
};

use super::{
    Error, Interface, filter,
    frame::{self, Frame},
};

/// The longest frame that is read: no message of neighbour discovery that matters is longer than
/// Ethernet's usual maximum.
pub(super) const LONGEST: usize = 1514;

// The kernel's constants, in the types that the system calls take.
#[expect(clippy::cast_possible_truncation, reason = "17")]
const FAMILY: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "0")]
const MULTICAST: libc::c_ushort = libc::PACKET_MR_MULTICAST as libc::c_ushort;
#[expect(clippy::cast_possible_truncation, reason = "20")]
const LINK_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
#[expect(clippy::cast_possible_truncation, reason = "16")]
const REQUEST_LENGTH: libc::socklen_t = size_of::<libc::packet_mreq>() as libc::socklen_t;

/// Frames out of an interface, and those in that are about one address.
#[derive(Debug)]
pub(super) struct Wire {
    socket: AsyncFd<Arc<Socket>>,
    interface: u32,
    // Dropped after the other hold on the socket.
    _last: Last,
}

impl Wire {
    /// Opens a socket that hears what is said about an address, or nothing if there is none.
    ///
    /// Joining a group waits for the kernel's configuration lock (rtnl): on a thread for blocking
    /// work, not on the runtime's.
    pub(super) async fn open(interface: &Interface, about: Option<IpAddr>) -> Result<Self, Error> {
        let Interface { namespace, index, mac: _ } = interface;
        let (namespace, index) = (Arc::clone(namespace), *index);
        let opened = task::spawn_blocking(move || namespace.run(|| open(index, about)));
        let opened = opened.await.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()));
        let error = |source| Error::socket("open a packet socket", index, source);
        let socket = Arc::new(opened?.map_err(error)?);
        let last = Last(Some(Arc::clone(&socket)));
        // SAFETY: a socket keeps its descriptor for life, and nothing replaces the one in an `Arc`.
        let registered = unsafe { AsyncFd::register(socket) };
        let socket = registered.map_err(|refused| error(refused.into()))?;
        Ok(Self { socket, interface: index, _last: last })
    }

    /// Sends a frame.
    pub(super) async fn send(&self, frame: &Frame) -> Result<(), Error> {
        // ipvlan does not tell the kernel how to find the protocol out, and more than one hook
        // wants to know it.
        let to = link_address(self.interface, frame.protocol);
        let write = |socket: &Arc<Socket>| patient(|| socket.send_to(&frame.bytes, &to));
        let written = self.socket.async_io(Interest::WRITABLE, write).await;
        written.map(drop).map_err(|source| Error::socket("send a frame", self.interface, source))
    }

    /// Waits for a frame, which overwrites what is in `buffer`.
    pub(super) async fn receive<'a>(
        &self,
        buffer: &'a mut [u8; LONGEST],
    ) -> Result<&'a [u8], Error> {
        let read = |socket: &Arc<Socket>| patient(|| socket.as_ref().read(buffer));
        let length = self.socket.async_io(Interest::READABLE, read).await;
        let length =
            length.map_err(|source| Error::socket("receive a frame", self.interface, source))?;
        Ok(&buffer[..length])
    }
}

/// The hold on a socket that closes it.
///
/// Closing a packet socket waits until no processor looks at it (`synchronize_net`), and for rtnl
/// if it has joined a group: no work for the runtime's own thread.
#[derive(Debug)]
struct Last(Option<Arc<Socket>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let (Some(socket), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(socket));
        }
    }
}

fn open(interface: u32, about: Option<IpAddr>) -> io::Result<Socket> {
    // Without a protocol it receives nothing: filter and groups come first.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    let Some(address) = about else { return Ok(socket) };
    socket.attach_filter(&filter::about(address))?;
    if let IpAddr::V6(address) = address {
        // A probe is answered to all nodes, and others probe to the address's group. The kernel
        // listens to neither until the interface has an IPv6 address.
        join(&socket, interface, frame::group_mac(frame::ALL_NODES))?;
        join(&socket, interface, frame::group_mac(frame::solicited_node(address)))?;
    }
    socket.bind(&link_address(interface, frame::protocol(address)))?;
    Ok(socket)
}

/// Lets frames to a group in, for as long as the socket lives.
fn join(socket: &Socket, interface: u32, group: Mac) -> io::Result<()> {
    let [a, b, c, d, e, f] = group.octets;
    let request = libc::packet_mreq {
        mr_ifindex: interface.cast_signed(),
        mr_type: MULTICAST,
        mr_alen: 6,
        mr_address: [a, b, c, d, e, f, 0, 0],
    };
    // SAFETY: the option takes a packet_mreq, which outlives the call, and its length.
    let joined = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            REQUEST_LENGTH,
        )
    };
    if joined == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The interface, for frames of a protocol.
fn link_address(interface: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is the kernel's address of AF_PACKET and fits the storage.
    let link = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    link.sll_family = FAMILY;
    link.sll_protocol = protocol.to_be();
    link.sll_ifindex = interface.cast_signed();
    // SAFETY: the storage holds a sockaddr_ll, whose length this is.
    unsafe { SockAddr::new(storage, LINK_LENGTH) }
}

/// Makes a call again that a signal broke off.
fn patient<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
