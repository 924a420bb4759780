//! The host stack's netfilter (`NETLINK_NETFILTER`): what it tracks, and a table of its rules. No library
//! in Rust speaks it without C's, so messages are written here.

mod attribute;
pub mod conntrack;
mod message;
pub mod nftables;

use std::io;

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// Bytes of `struct nlmsghdr` and of `struct nfgenmsg`.
const HEADER: usize = 16;
const FAMILY: usize = 4;

/// A socket in the namespace of the calling thread.
fn socket() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}
