//! What the kernel's tables say of a port of a Service.

use std::sync::Arc;

use netpath_common::Address;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// Its address.
    pub address: Address,
    /// Its port in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u16,
}

/// What an address and a port of a Service lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// See [`netpath_common::Service::id`].
    pub id: u32,
    /// Seconds for which a client stays with its backend; 0 for no affinity.
    pub affinity: u32,
    /// See [`netpath_common::Service::flags`].
    pub flags: u32,
    /// The run for endpoints and the node, in order.
    pub inside: Arc<[BackendKey]>,
    /// The run for who asks from the wire, in order.
    pub outside: Arc<[BackendKey]>,
}
