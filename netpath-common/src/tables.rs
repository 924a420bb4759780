//! The tables that the decision reads.

use core::ops::Deref;

use crate::{
    Address, Affinity, AffinityKey, Connection, Endpoint, FlowKey, Node, Parent, Route, RouteKey,
    Services,
};

/// Read access to the tables, whatever they are kept in.
///
/// The programs implement it over BPF maps and hand out references into them; the agent over the
/// live maps from user space, and tests over plain collections, hand out copies.
pub trait Tables {
    /// Whether netpath translates packets for Services. Where it does not, the decision is compiled without
    /// all that it takes, and is as short as if there were no Services.
    const TRANSLATES: bool;

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

    /// What the packets of the endpoint in this slot may belong to: [`GATE_FLOWS`](crate::flow::GATE_FLOWS)
    /// and [`GATE_CONNECTIONS`](crate::flow::GATE_CONNECTIONS). Those of all others are spared the lookup
    /// of their five-tuple.
    fn gates(&self, slot: u32) -> u32;

    /// The same of the node itself, but that its flows need not be looked up.
    fn node_gates(&self) -> u32;

    /// Whether packets with this tuple take the kernel path.
    fn flow(&self, key: &FlowKey) -> bool;

    /// What the packets of a tuple become.
    fn connection(&self, key: &FlowKey) -> Option<Self::Ref<'_, Connection>>;
}

/// What the decision writes while it translates.
pub trait Connections: Tables + Services {
    /// Notes one direction of a connection; in place of another one only if it shall `replace` it.
    fn note(&self, key: &FlowKey, connection: &Connection, replace: bool) -> Result<(), NotNoted>;

    /// Renews what is noted of a direction: what TCP said in it, and when it was last heard.
    fn renew(&self, key: &FlowKey, flags: u32, now: u64);

    /// The ports of the packet that a fragment is of, in network order, by the packet's number in the
    /// place of ports.
    fn fragment(&self, key: &FlowKey) -> Option<[u16; 2]>;

    /// Notes those that the first fragment has.
    fn note_fragment(&self, key: &FlowKey, ports: [u16; 2]);

    /// Forgets a direction.
    fn forget(&self, key: &FlowKey);

    /// Notes with whom a client stays.
    fn stay(&self, key: &AffinityKey, affinity: &Affinity);

    /// From now on packets of an endpoint's connections are looked up; those of the node for
    /// [`NO_SLOT`](crate::endpoint::NO_SLOT).
    fn open(&self, slot: u32);
}

/// Why a direction of a connection was not noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNoted {
    /// Packets with this tuple belong to another one.
    Taken,
    /// The table is full.
    Full,
}
