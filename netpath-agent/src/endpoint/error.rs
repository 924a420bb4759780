//! Why a pod's interface can not be what it should.

use std::{io, net::IpAddr, path::PathBuf};

use crate::netlink;

/// An interface could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The namespace is the node's own: the child would not be apart from its parent.
    #[error("{} is the node's own network namespace; name the pod's", .0.display())]
    OwnNamespace(PathBuf),
    /// Another namespace has taken the file's place.
    #[error("{}: is another network namespace than the endpoint's, which is gone", .0.display())]
    Replaced(PathBuf),
    /// The name is taken inside the namespace.
    #[error("interface {interface} exists in {} already; remove it or choose another name", netns.display())]
    InterfaceExists {
        /// The name.
        interface: String,
        /// The namespace.
        netns: PathBuf,
    },
    /// The interface vanished while it was being made.
    #[error("interface {0} vanished while it was being set up; somebody else removed it")]
    Vanished(String),
    /// The NIC that the endpoint is to have is not on the node.
    #[error("NIC {0} is not on the node; it may be in use elsewhere, or unplugged")]
    NoNic(String),
    /// IPv6 is switched off in the namespace.
    #[error("can not turn on IPv6 for {interface} in {}", netns.display())]
    Ipv6 {
        /// The interface.
        interface: String,
        /// The namespace.
        netns: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another child of the parent has the address.
    #[error(
        "another ipvlan interface on the parent still has {address}: one that is not netpath's, or a pod's whose network namespace the kernel has not taken apart yet; try again"
    )]
    AddressHeld {
        /// The address.
        address: IpAddr,
        /// The kernel's answer.
        source: netlink::Error,
    },
    /// The parent has children or a master of another kind.
    #[error(
        "the parent is in use by ipvlan, macvlan, a bridge, a bond or the like, maybe in another network namespace, which excludes {kind}; free it or use another NIC"
    )]
    ParentBusy {
        /// The kind of child.
        kind: &'static str,
        /// The kernel's answer.
        source: netlink::Error,
    },
    /// The kernel has no such interfaces.
    #[error("this kernel has no {kind} (module {kind}); load the module or use a kernel with it")]
    NoKind {
        /// The kind of child.
        kind: &'static str,
        /// The kernel's answer.
        source: netlink::Error,
    },
}

impl Error {
    /// Whether the namespace is not there any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Replaced(_) => true,
            Self::Netlink(error @ netlink::Error::Namespace { .. }) => {
                error.errno() == Some(nix::libc::ENOENT)
            }
            _ => false,
        }
    }

    /// The field of the specification that is wrong, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::OwnNamespace(_)
            | Self::Replaced(_)
            | Self::Netlink(netlink::Error::Namespace { .. }) => Some("netns"),
            Self::InterfaceExists { .. } => Some("interface"),
            Self::ParentBusy { .. } => Some("parent"),
            Self::AddressHeld { .. } => Some("addresses"),
            _ => None,
        }
    }
}
