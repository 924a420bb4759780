//! Asking the wire whether an address is free, and telling it where the address is now.
//!
//! All of it goes by packet sockets on one [`Interface`]. Which one hears the answers depends on
//! the attachment. An ipvlan parent hands unicast frames to its children by the IP address that
//! they are for, and the answer to an ARP probe is for 0.0.0.0 (`ipvlan_addr_lookup`): it ends at
//! the parent. So for ipvlan:
//!
//! | | interface |
//! | --- | --- |
//! | [`Probes::probe`] | the parent, in the node's namespace |
//! | [`Announcer`] | the parent: a frame from a child would be copied to each of its siblings, and netpath leads these by addresses |
//! | [`gateway`] | the child, in the pod's namespace: its addresses are known by then |
//!
//! Every other attachment has an Ethernet address of its own, and the pod's interface does.

mod announcement;
mod error;
mod filter;
mod frame;
mod heard;
mod probe;
mod question;
mod turn;
mod wire;

use std::{sync::Arc, time::Duration};

use netpath_common::Mac;

pub use self::{
    announcement::{ANNOUNCE_INTERVAL, ANNOUNCEMENTS, Announcer},
    error::Error,
    probe::{Conflict, Probes},
    question::gateway,
};
use crate::{name::InterfaceName, netlink::Namespace};

/// How long a probe listens unless configured otherwise.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// An interface, and who it is on the wire.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The namespace that it is in.
    pub namespace: Arc<Namespace>,
    /// Its name there.
    pub name: InterfaceName,
    /// Its Ethernet address.
    pub mac: Mac,
}
