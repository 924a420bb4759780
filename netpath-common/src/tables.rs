//! The tables that the decision reads.

use core::ops::Deref;

use crate::{Address, Endpoint, FlowKey, Node, Parent, Route, RouteKey};

/// Read access to the tables, whatever they are kept in.
///
/// The programs implement it over BPF maps and hand out references into them; the agent over the
/// live maps from user space, and tests over plain collections, hand out copies.
pub trait Tables {
    /// A borrowed or owned value.
    type Ref<'a, V: 'a>: Deref<Target = V>
    where
        Self: 'a;

    /// What this node knows of an address: an endpoint, or itself.
    fn endpoint(&self, address: &Address) -> Option<Self::Ref<'_, Endpoint>>;

    /// The most specific prefix of the key's address in the key's table.
    fn route(&self, key: &RouteKey) -> Option<Self::Ref<'_, Route>>;

    /// Whether a network namespace is that of an endpoint, by its number: see
    /// [`Endpoint::namespace`].
    fn is_pod(&self, namespace: u32) -> bool;

    /// The parent with this interface index.
    fn parent(&self, ifindex: u32) -> Option<Self::Ref<'_, Parent>>;

    /// Facts about the node.
    fn node(&self) -> Option<Self::Ref<'_, Node>>;

    /// Whether some flow of the endpoint in this slot ever took the kernel path: what spares all
    /// others the lookup of their five-tuple.
    fn has_flows(&self, slot: u32) -> bool;

    /// Whether packets with this tuple take the kernel path.
    fn flow(&self, key: &FlowKey) -> bool;
}
