//! The view of the tables of Services that the choice of a backend has.

use aya_ebpf::btf_maps::lpm_trie::Key;
use netpath_common::{
    Address, Affinity, AffinityKey, Backend, RouteKey, Service, ServiceKey, Services,
    route::{self, RouteData},
};

use crate::{
    maps::{AFFINITIES, BACKENDS, SERVICE_SLOTS, SERVICE_SOURCES, SERVICES},
    tables::Maps,
};

impl Services for Maps {
    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        // SAFETY: no program writes this map; the agent replaces values whole, and the element stays
        // until the grace period that the program runs in has ended.
        unsafe { SERVICES.get(key) }.copied()
    }

    #[inline(always)]
    fn slot(&self, slot: u32) -> Option<u32> {
        SERVICE_SLOTS.get(slot).copied()
    }

    #[inline(always)]
    fn backend(&self, place: u32) -> Option<Backend> {
        BACKENDS.get(place).copied()
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        // SAFETY: an element that gives way to another is not used for it before the grace period has
        // ended, but may be replaced in between: the generation of the backend is compared anyway.
        unsafe { AFFINITIES.get(key) }.copied()
    }

    #[inline(always)]
    fn is_admitted(&self, service: u32, address: &Address) -> bool {
        const {
            assert!(size_of::<Key<RouteData>>() == size_of::<RouteKey>());
        }
        let key = RouteKey::lookup(service, *address);
        // SAFETY: as in `Tables::route`.
        let key = unsafe { &*core::ptr::from_ref(&key).cast::<Key<RouteData>>() };
        // `::/0` holds IPv4 addresses in their mapped form, and has nothing to say of them.
        SERVICE_SOURCES.get(key).is_some_and(|length| route::is_for(*length, address))
    }
}
