//! What can go wrong between the agent and the wire.

use std::{io, net::IpAddr};

use nix::libc;

use crate::{name::InterfaceName, netlink};

/// A probe, an announcement or a question could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interface's namespace can not be entered.
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
    /// There is no socket.
    #[error("can not open a packet socket")]
    Open(#[source] io::Error),
    /// The interface is not up, or went down meanwhile.
    #[error("interface {0} is down: set it up before its addresses are probed or announced")]
    Down(InterfaceName),
    /// The kernel refused.
    #[error("can not {action} on interface {interface}")]
    Socket {
        /// What was to be done.
        action: &'static str,
        /// The interface.
        interface: InterfaceName,
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
    pub(super) fn socket(
        action: &'static str,
        interface: &InterfaceName,
        source: io::Error,
    ) -> Self {
        let interface = interface.clone();
        match source.raw_os_error() {
            Some(libc::ENETDOWN) => Self::Down(interface),
            _ => Self::Socket { action, interface, source },
        }
    }

    /// Whether there was no place for the frame, or a hook on the way out dropped it: the kernel
    /// tells a local sender.
    pub(super) fn is_drop(&self) -> bool {
        let Self::Socket { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN))
    }
}
