//! What can go wrong between the agent and the kernel's network configuration.

use std::{io, path::PathBuf};

/// A request to the kernel failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket.
    #[error("can not open a netlink socket")]
    Connect(#[source] io::Error),
    /// The kernel refused a request.
    #[error("can not {action}")]
    Request {
        /// What was asked for.
        action: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The answer is not what the request asks for.
    #[error("can not {action}: the kernel's answer was not understood")]
    Answer {
        /// What was asked for.
        action: String,
        /// What the library made of it.
        source: rtnetlink::Error,
    },
    /// A network namespace can not be opened or entered.
    #[error("network namespace {}: can not be entered; expected a file such as /run/netns/NAME or /proc/PID/ns/net", path.display())]
    Namespace {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The kernel's error number, if it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Connect(source)
            | Self::Request { source, .. }
            | Self::Namespace { source, .. } => source.raw_os_error(),
            Self::Answer { .. } => None,
        }
    }

    /// Turns a library error into ours; to be used with `map_err`.
    pub(super) fn request(
        action: impl FnOnce() -> String,
    ) -> impl FnOnce(rtnetlink::Error) -> Self {
        move |source| match source {
            rtnetlink::Error::NetlinkError(message) => {
                Self::Request { action: action(), source: message.to_io() }
            }
            source => Self::Answer { action: action(), source },
        }
    }

    /// Whether the object that the request is about does not exist.
    pub(super) fn is_missing(&self) -> bool {
        use nix::libc::{EADDRNOTAVAIL, ENODEV, ESRCH};
        matches!(self.errno(), Some(ENODEV | EADDRNOTAVAIL | ESRCH))
    }
}
