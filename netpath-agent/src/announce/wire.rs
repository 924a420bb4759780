//! A packet socket on one interface.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read as _},
    net::IpAddr,
    os::fd::AsRawFd as _,
    panic, ptr,
    sync::Arc,
};

use netpath_common::Mac;
use nix::{errno::Errno, libc, net::if_::if_nametoindex};
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
use crate::name::InterfaceName;

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

/// Frames out of an interface, and those in that are about certain addresses.
#[derive(Debug)]
pub(super) struct Wire {
    socket: AsyncFd<Arc<Socket>>,
    name: InterfaceName,
    index: u32,
    // Dropped after the other hold on the socket.
    _last: Last,
}

impl Wire {
    /// Opens a socket that hears what is said about addresses of one family, or nothing if there
    /// are none.
    ///
    /// Joining a group waits for the kernel's configuration lock (rtnl): on a thread for blocking
    /// work, not on the runtime's.
    pub(super) async fn open(interface: &Interface, about: &[IpAddr]) -> Result<Self, Error> {
        let Interface { namespace, name, mac: _ } = interface.clone();
        let error = |source| Error::socket("open a packet socket", &interface.name, source);
        let about = about.to_vec();
        let open = move || namespace.run(|| open(&name, &about));
        let opened = task::spawn_blocking(open).await;
        let opened = opened.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()));
        let (socket, index) = opened?.map_err(error)?;
        let socket = Arc::new(socket);
        let last = Last(Some(Arc::clone(&socket)));
        // SAFETY: a socket keeps its descriptor for life, and nothing replaces the one in an `Arc`.
        let registered = unsafe { AsyncFd::register(socket) };
        let socket = registered.map_err(|refused| error(refused.into()))?;
        Ok(Self { socket, name: interface.name.clone(), index, _last: last })
    }

    /// Sends a frame.
    pub(super) async fn send(&self, frame: &Frame) -> Result<(), Error> {
        // ipvlan does not tell the kernel how to find the protocol out, and more than one hook
        // wants to know it.
        let to = link_address(self.index, frame.protocol);
        let write = |socket: &Arc<Socket>| patient(|| socket.send_to(&frame.bytes, &to));
        let written = self.socket.async_io(Interest::WRITABLE, write).await;
        written.map(drop).map_err(|source| Error::socket("send a frame", &self.name, source))
    }

    /// Waits for a frame, which overwrites what is in `buffer`.
    pub(super) async fn receive<'a>(
        &self,
        buffer: &'a mut [u8; LONGEST],
    ) -> Result<&'a [u8], Error> {
        let read = |socket: &Arc<Socket>| patient(|| socket.as_ref().read(buffer));
        let length = self.socket.async_io(Interest::READABLE, read).await;
        let length =
            length.map_err(|source| Error::socket("receive a frame", &self.name, source))?;
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

/// The socket and the interface's index.
fn open(name: &InterfaceName, about: &[IpAddr]) -> io::Result<(Socket, u32)> {
    let interface = if_nametoindex(name.as_str())?;
    // Without a protocol it receives nothing: filter and groups come first.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    let Some(first) = about.first() else { return Ok((socket, interface)) };
    socket.attach_filter(&filter::about(about))?;
    // A probe is answered to all nodes, and others probe to the address's group. The kernel listens
    // to neither until the interface has an IPv6 address.
    let groups = about.iter().filter_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some([frame::ALL_NODES, frame::solicited_node(*address)]),
    });
    for group in groups.flatten().collect::<BTreeSet<_>>() {
        join(&socket, interface, frame::group_mac(group))?;
    }
    socket.bind(&link_address(interface, frame::protocol(*first)))?;
    Ok((socket, interface))
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
    set(socket, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Sets an option of packet sockets, which takes a `T`.
fn set<T: Copy>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let value = ptr::from_ref(value).cast();
    // SAFETY: `value` is of that length and outlives the call, which only reads it.
    let set =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, length) };
    Errno::result(set)?;
    Ok(())
}

/// Lets a socket's frames pass by the queues, and by the hooks in front of them.
pub(super) fn bypass_qdisc(socket: &Socket) -> io::Result<()> {
    set(socket, libc::PACKET_QDISC_BYPASS, &1_i32)
}

/// The interface, for frames of a protocol.
pub(super) fn link_address(interface: u32, protocol: u16) -> SockAddr {
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
pub(super) fn patient<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
