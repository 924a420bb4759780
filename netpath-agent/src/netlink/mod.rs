//! Links, addresses and routes of a network namespace: the only module that knows rtnetlink.
//!
//! A folder per object, a file per verb. Requests act in the namespace that the connection was
//! opened in, for as long as it lives.

mod address;
mod error;
mod link;
mod monitor;
mod namespace;
mod neighbour;
mod number;
mod qdisc;
mod route;
mod rule;

pub use self::{
    address::HostAddress,
    error::Error,
    link::{IpvlanFlags, IpvlanMode, IpvlanPort, Link, LinkKind, MacvlanMode},
    monitor::{Change, Monitor},
    namespace::{Namespace, Visit},
    neighbour::Proxy,
    route::{Answer, Inquiry, Route, TableRoute, Way},
    rule::Rule,
};

/// A connection to the kernel's route netlink in one network namespace.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
}

impl Netlink {
    /// Connects in the namespace of the calling thread. The connection's task ends with the last
    /// clone of the handle.
    ///
    /// Dumps are strict (`NETLINK_GET_STRICT_CHK`, Linux 4.20): the kernel filters by what the
    /// request names, or refuses it, instead of quietly answering with everything.
    pub fn connect() -> Result<Self, Error> {
        let (connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(Error::Connect)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}
