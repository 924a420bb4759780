//! Why a parent can not be used, and for how long.

use crate::name::InterfaceName;

/// Why a parent can not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParentProblem {
    /// No such interface.
    #[error("no such interface in this network namespace; there are {0}")]
    Missing(String),
    /// No interface with that address, of the wire or of the bus.
    #[error("no interface has {what} in this network namespace; there are {there}")]
    Unplugged {
        /// The address.
        what: String,
        /// The interfaces that there are, with theirs.
        there: String,
    },
    /// The device that a VLAN is on is not there.
    #[error("VLAN {id} needs {on}, which is not in this network namespace")]
    NoLower {
        /// That device.
        on: InterfaceName,
        /// The VLAN's number.
        id: u16,
    },
    /// A VLAN is not there, and what is called as it would be is something else.
    #[error(
        "VLAN {id} on {on} can not be made, for there is another interface of that name; rename or remove it"
    )]
    NameTaken {
        /// The device that it should be on.
        on: InterfaceName,
        /// The VLAN's number.
        id: u16,
    },
    /// A VLAN is not there.
    #[error("VLAN {id} on {on} is not there; the agent's log says why it was not made")]
    NotMade {
        /// The device that it should be on.
        on: InterfaceName,
        /// The VLAN's number.
        id: u16,
    },
    /// Two parents are found to be one device.
    #[error("is {device}, as parent {other} is; remove one of the two")]
    Shared {
        /// The device.
        device: String,
        /// The other parent.
        other: InterfaceName,
    },
    /// Down.
    #[error("is down; set it up: ip link set {0} up")]
    Down(String),
    /// Loopback, tunnels and the like.
    #[error("is no Ethernet device; use the node's NIC, a bond or a VLAN on one")]
    NotEthernet,
    /// Bridge ports, bond members and the like: a device has one `rx_handler`.
    #[error("is a port of a {0}, which takes its packets; use the {0} itself or another NIC")]
    Port(String),
    /// Macvlan and ipvlan exclude each other on one device.
    #[error(
        "carries the {kind} interface {name}, which excludes {wanted}; remove that, change attachment or use another NIC"
    )]
    OtherChild {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
        /// What the parent's endpoints are to be.
        wanted: &'static str,
    },
    /// A child can not have children.
    #[error("is itself an ipvlan or macvlan interface; use the NIC below it")]
    Child,
    /// A bridge takes packets as the stack's own.
    #[error("is a bridge, which endpoints can not sit on; use a NIC, a bond or a VLAN on one")]
    Bridge,
}

impl ParentProblem {
    /// Whether it may be over with the next event: a NIC is plugged in, or set up.
    pub(in crate::node) const fn may_pass(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::Unplugged { .. }
            | Self::NoLower { .. }
            | Self::NotMade { .. }
            | Self::Down(_) => true,
            Self::NameTaken { .. }
            | Self::Shared { .. }
            | Self::NotEthernet
            | Self::Port(_)
            | Self::OtherChild { .. }
            | Self::Child
            | Self::Bridge => false,
        }
    }
}
