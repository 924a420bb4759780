//! The decision's view of the maps.

use aya_ebpf::btf_maps::lpm_trie::Key;
use netpath_common::{
    Address, Connection, Endpoint, EndpointEntry, FlowKey, Node, Parent, Route, RouteKey, Tables,
    route::RouteData,
};

use crate::maps::{
    CONNECTIONS, ENDPOINT_FLOWS, ENDPOINT_HEADS, ENDPOINTS, FLOWS, NAMESPACES, NODE, NODE_FLOWS,
    PARENTS, ROUTES,
};

/// The maps of [`crate::maps`].
pub(crate) struct Maps;

impl Tables for Maps {
    const TRANSLATES: bool = true;

    type Ref<'a, V: 'a> = &'a V;

    #[inline(always)]
    fn endpoint(&self, address: &Address) -> Option<&Endpoint> {
        // The agent writes no entry that a link leads to, but for its own link, until the grace
        // period that the program runs in has ended.
        let head = ENDPOINT_HEADS.get_ptr(address.digest(EndpointEntry::HEAD_BITS))?;
        let first = entry(head)?;
        if first.address == *address {
            return Some(&first.endpoint);
        }
        if first.next == 0 {
            return None;
        }
        let [high, low] = address.halves();
        let found = ENDPOINTS.get(netpath_find(first.next, high, low))?;
        (found.address == *address).then_some(&found.endpoint)
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
        // SAFETY: no program writes this map; the agent replaces values whole, and the element
        // stays until the grace period that the program runs in has ended.
        unsafe { PARENTS.get(ifindex) }
    }

    #[inline(always)]
    fn node(&self) -> Option<&Node> {
        NODE.get(0)
    }

    #[inline(always)]
    fn gates(&self, slot: u32) -> u32 {
        ENDPOINT_FLOWS.get(slot).map_or(0, |gates| *gates)
    }

    #[inline(always)]
    fn node_gates(&self) -> u32 {
        NODE_FLOWS.get(0).map_or(0, |gates| *gates)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> bool {
        FLOWS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn connection(&self, key: &FlowKey) -> Option<&Connection> {
        // SAFETY: entries are replaced whole, but for words that `renew` writes, each of them whole; one
        // that is removed stays until the grace period that the program runs in has ended.
        unsafe { CONNECTIONS.get(key) }
    }
}

/// What a link leads to.
#[inline(always)]
fn entry<'a>(link: *const u32) -> Option<&'a EndpointEntry> {
    // SAFETY: an aligned word of an array map, which never moves; the agent replaces it whole.
    let index = unsafe { link.read_volatile() };
    if index == 0 { None } else { ENDPOINTS.get(index) }
}

/// Looks for an address in the rest of a chain: the index of its entry, or 0.
///
/// A global function, of numbers only: the verifier looks at its loop once, on its own, and not again
/// wherever an address is looked up.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn netpath_find(mut index: u32, high: u64, low: u64) -> u32 {
    let address = Address::from_halves([high, low]);
    for _ in 1..EndpointEntry::REACH {
        let Some(entry) = ENDPOINTS.get(index) else { return 0 };
        if entry.address == address {
            return index;
        }
        index = entry.next;
        if index == 0 {
            return 0;
        }
    }
    0
}
