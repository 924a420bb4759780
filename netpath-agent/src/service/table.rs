//! What the kernel's tables say of a Service's address, port and protocol.

use std::sync::Arc;

use netpath_common::{Address, Backend};

/// A backend: whom a slot leads to. All Services that list the same one share its place in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// Its address.
    pub address: Address,
    /// Its port in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u16,
}

impl From<&Backend> for BackendKey {
    fn from(backend: &Backend) -> Self {
        let Backend { address, port, protocol, generation: _ } = *backend;
        Self { address, port, protocol }
    }
}

/// What a [`ServiceKey`](netpath_common::ServiceKey) leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// See [`Service::id`](netpath_common::Service::id).
    pub id: u32,
    /// Seconds for which a client stays with its backend; 0 for no affinity.
    pub affinity: u32,
    /// [`FLAG_EXTERNAL`](netpath_common::service::FLAG_EXTERNAL) and the like.
    pub flags: u32,
    /// Backends for endpoints and for the node, slot by slot: one that is listed twice has twice the
    /// share.
    pub inside: Arc<[BackendKey]>,
    /// The same for who asks from the wire. Lists that are equal share their slots.
    pub outside: Arc<[BackendKey]>,
}
