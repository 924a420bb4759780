//! What can go wrong between the agent and the wire.

use std::{io, net::IpAddr};

use nix::libc;

use crate::netlink;

/// A probe, an announcement or a question could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interface's namespace can not be entered.
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
    /// The interface is not up, or went down meanwhile.
    #[error("interface {0} is down: set it up before its addresses are probed or announced")]
    Down(u32),
    /// The kernel refused.
    #[error("can not {action} on interface {interface}")]
    Socket {
        /// What was to be done.
        action: &'static str,
        /// The interface's index.
        interface: u32,
        /// Why.
        source: io::Error,
    },
    /// The two addresses are of different families.
    #[error("{own} can not ask for gateway {gateway}: expected addresses of the same family")]
    Families {
        /// Who was to ask.
        own: IpAddr,
        /// Who was to be asked for.
        gateway: IpAddr,
    },
}

impl Error {
    pub(super) fn socket(action: &'static str, interface: u32, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENETDOWN) => Self::Down(interface),
            _ => Self::Socket { action, interface, source },
        }
    }

    /// Whether a queue or a hook on the way out dropped the frame: the kernel tells a local sender.
    pub(super) fn is_drop(&self) -> bool {
        matches!(self, Self::Socket { source, .. } if source.raw_os_error() == Some(libc::ENOBUFS))
    }
}
