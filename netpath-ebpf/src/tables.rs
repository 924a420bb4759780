//! The decision's view of the maps.

use aya_ebpf::btf_maps::lpm_trie::Key;
use netpath_common::{
    Address, Endpoint, FlowKey, Node, Parent, Route, RouteKey, Tables, route::RouteData,
};

use crate::maps::{ENDPOINT_FLOWS, ENDPOINTS, FLOWS, NAMESPACES, NODE, PARENTS, ROUTES};

/// The maps of [`crate::maps`].
pub(crate) struct Maps;

impl Tables for Maps {
    type Ref<'a, V: 'a> = &'a V;

    #[inline(always)]
    fn endpoint(&self, address: &Address) -> Option<&Endpoint> {
        // SAFETY: no program writes this map; the agent replaces values whole, and the element
        // stays until the RCU grace period that the program runs in has ended.
        unsafe { ENDPOINTS.get(address) }
    }

    #[inline(always)]
    fn route(&self, key: &RouteKey) -> Option<&Route> {
        const {
            assert!(size_of::<Key<RouteData>>() == size_of::<RouteKey>());
        }
        // SAFETY: aya's key is the same three fields in the same order, without alignment.
        let key = unsafe { &*core::ptr::from_ref(key).cast::<Key<RouteData>>() };
        ROUTES.get(key)
    }

    #[inline(always)]
    fn is_pod(&self, namespace: u32) -> bool {
        NAMESPACES.get_ptr(namespace).is_some()
    }

    #[inline(always)]
    fn parent(&self, ifindex: u32) -> Option<&Parent> {
        // SAFETY: as for endpoints.
        unsafe { PARENTS.get(ifindex) }
    }

    #[inline(always)]
    fn node(&self) -> Option<&Node> {
        NODE.get(0)
    }

    #[inline(always)]
    fn has_flows(&self, slot: u32) -> bool {
        ENDPOINT_FLOWS.get(slot).is_some_and(|flows| *flows != 0)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> bool {
        FLOWS.get_ptr(key).is_some()
    }
}
