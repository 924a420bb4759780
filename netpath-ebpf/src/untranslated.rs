//! The decision's view of the maps where nobody's packets are translated for Services: the programs are
//! compiled twice, and who has no Services pays nothing for them.

use netpath_common::{
    Address, Connection, Endpoint, FlowKey, Node, Parent, Route, RouteKey, Tables, flow::GATE_FLOWS,
};

use crate::tables::Maps;

/// [`Maps`] without connections.
pub(crate) struct Untranslated;

impl Tables for Untranslated {
    const TRANSLATES: bool = false;

    type Ref<'a, V: 'a> = &'a V;

    #[inline(always)]
    fn endpoint(&self, address: &Address) -> Option<&Endpoint> {
        Maps.endpoint(address)
    }

    #[inline(always)]
    fn route(&self, key: &RouteKey) -> Option<&Route> {
        Maps.route(key)
    }

    #[inline(always)]
    fn is_pod(&self, namespace: u32) -> bool {
        Maps.is_pod(namespace)
    }

    #[inline(always)]
    fn parent(&self, ifindex: u32) -> Option<&Parent> {
        Maps.parent(ifindex)
    }

    #[inline(always)]
    fn node(&self) -> Option<&Node> {
        Maps.node()
    }

    #[inline(always)]
    fn gates(&self, slot: u32) -> u32 {
        // Connections of before may have left theirs open.
        Maps.gates(slot) & GATE_FLOWS
    }

    #[inline(always)]
    fn node_gates(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> bool {
        Maps.flow(key)
    }

    #[inline(always)]
    fn connection(&self, _: &FlowKey) -> Option<&Connection> {
        None
    }
}
