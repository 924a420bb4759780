//! The desired state: what the operator and the node's own configuration ask for.

mod entries;
mod masquerade;
mod parent;
mod prefixes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use netpath_common::{Path, Route, RouteKey, endpoint::NO_SLOT};

pub use self::parent::Parent;
use super::tables::Tables;
use crate::{
    attachment::Attachment,
    endpoint::{Nic, Record, Stage, Wiring},
    masquerade::MasqueradeSpec,
    name::{EndpointName, InterfaceName},
    netlink::Link,
    route::{RouteSpec, Table},
    rule::RuleSpec,
};

/// A route and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// The route.
    pub spec: RouteSpec,
    /// It stands in the configuration file: it can not be removed at runtime.
    pub configured: bool,
}

/// What the kernel's tables should say.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The parents that are there.
    pub parents: BTreeMap<InterfaceName, Parent>,
    /// The parents, there or not, whose policy-route endpoints are the host stack's to carry.
    pub stacked: BTreeSet<InterfaceName>,
    /// The node's own addresses.
    pub host: BTreeSet<IpAddr>,
    /// The node's addresses on its parents, by interface index, in the kernel's order.
    pub own: BTreeMap<u32, Vec<IpAddr>>,
    /// The node's ends of endpoints' veth pairs, by interface index.
    pub devices: BTreeMap<EndpointName, u32>,
    /// The parents that are there to be given away, and are on the node.
    pub nics: BTreeMap<InterfaceName, Nic>,
    /// Number of the node's own network namespace.
    pub namespace: u32,
    /// Which table is asked for whom.
    pub rules: Vec<RuleSpec>,
    /// Which tables are masqueraded.
    pub masquerades: Vec<MasqueradeSpec>,
    endpoints: BTreeMap<EndpointName, Arc<Record>>,
    owners: HashMap<IpAddr, Arc<Record>>,
    slots: BTreeSet<u32>,
    /// How many endpoints that are in the maps are in a network namespace, by its number.
    namespaces: HashMap<u32, usize>,
    routes: BTreeMap<(Table, IpNet), RouteEntry>,
    /// How many tables have a route for exactly this address.
    routed: HashMap<IpAddr, usize>,
}

impl State {
    /// All endpoints, by name.
    #[must_use]
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.endpoints.values().map(Arc::as_ref)
    }

    /// The endpoint of a name.
    #[must_use]
    pub fn endpoint(&self, name: &EndpointName) -> Option<&Record> {
        self.endpoints.get(name).map(Arc::as_ref)
    }

    /// The endpoint that has an address.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&EndpointName> {
        self.owners.get(&address).map(|record| &record.spec.name)
    }

    /// The lowest slot that no endpoint has.
    #[must_use]
    pub fn free_slot(&self) -> u32 {
        (0..NO_SLOT).find(|slot| !self.slots.contains(slot)).unwrap_or(NO_SLOT)
    }

    /// Takes an endpoint in, in place of the one with the same name.
    pub fn insert(&mut self, record: Record) {
        self.remove(&record.spec.name);
        let record = Arc::new(record);
        self.slots.insert(record.slot);
        for address in record.addresses() {
            self.owners.insert(address, Arc::clone(&record));
        }
        if record.stage == Stage::Ready
            && let Some(number) = record.held_namespace()
        {
            *self.namespaces.entry(number).or_default() += 1;
        }
        self.endpoints.insert(record.spec.name.clone(), record);
    }

    /// Lets an endpoint go.
    pub fn remove(&mut self, name: &EndpointName) {
        let Some(record) = self.endpoints.remove(name) else { return };
        self.slots.remove(&record.slot);
        for address in record.addresses() {
            self.owners.remove(&address);
        }
        if record.stage == Stage::Ready
            && let Some(number) = record.held_namespace()
            && let Some(count) = self.namespaces.get_mut(&number)
        {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(&number);
            }
        }
    }

    /// All routes, by table and prefix.
    #[must_use]
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &RouteEntry> {
        self.routes.values()
    }

    /// The route of a table and prefix.
    #[must_use]
    pub fn route(&self, table: Table, prefix: IpNet) -> Option<&RouteEntry> {
        self.routes.get(&(table, prefix))
    }

    /// Takes a route in, in place of the one with the same table and prefix.
    pub fn insert_route(&mut self, entry: RouteEntry) {
        let key = (entry.spec.table, entry.spec.prefix);
        if self.routes.insert(key, entry).is_none()
            && let Some(address) = alone(key.1)
        {
            *self.routed.entry(address).or_default() += 1;
        }
    }

    /// Lets a route go.
    pub fn remove_route(&mut self, table: Table, prefix: IpNet) {
        if self.routes.remove(&(table, prefix)).is_some()
            && let Some(address) = alone(prefix)
            && let Some(count) = self.routed.get_mut(&address)
        {
            *count -= 1;
        }
    }

    /// The routes by which others reach endpoints with a NIC of their own.
    pub fn ways(&self) -> impl Iterator<Item = (RouteKey, Route)> {
        self.ready().flat_map(|record| self.ways_to(record))
    }

    /// The same of one endpoint: over the wire, as far as no route says otherwise.
    pub fn ways_to(&self, record: &Record) -> impl Iterator<Item = (RouteKey, Route)> {
        let exclusive = record.attachment == Attachment::Exclusive;
        let addresses = record.spec.addresses.iter().filter(move |_| exclusive);
        let prefixes = addresses.map(|address| IpNet::from(address.addr()));
        let free = prefixes.filter(|prefix| self.route(Table::MAIN, *prefix).is_none());
        free.map(|prefix| {
            let spec =
                RouteSpec { table: Table::MAIN, prefix, path: Path::Router, via: Vec::new() };
            spec.entry()
        })
    }

    /// What there should be in an endpoint's namespace, while its parent is there.
    #[must_use]
    pub fn wiring(&self, record: &Record) -> Option<Wiring> {
        if let (Some(nic), Some(mac)) = (&record.nic, record.mac()) {
            return Some(Wiring::exclusive(record, nic, mac, &self.prefixes()));
        }
        let parent = self.parents.get(&record.spec.parent)?;
        let Link { index, mtu, .. } = parent.link;
        Some(Wiring::new(record, (index, mtu), parent.child(record)?))
    }

    /// Whether the host stack carries all packets of an endpoint that is on no wire.
    #[must_use]
    pub fn is_carried(&self, record: &Record) -> bool {
        record.attachment == Attachment::PolicyRoute && self.stacked.contains(&record.spec.parent)
    }

    /// What only the node leads to: itself, endpoints that its stack carries, whose answers must come
    /// back to it, and what takes the kernel path.
    #[must_use]
    pub fn prefixes(&self) -> Vec<IpNet> {
        let link_local = |address: &IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let own = self.host.iter().filter(|address| !link_local(address)).copied().map(IpNet::from);
        let by_stack = self.routes.values().map(|route| &route.spec).filter(|spec| {
            spec.table == Table::MAIN && matches!(spec.path, Path::Host | Path::Kernel)
        });
        let carried = self.ready().filter(|record| self.is_carried(record));
        let carried = carried.flat_map(|record| &record.spec.addresses);
        let carried = carried.map(|address| IpNet::from(address.addr()));
        own.chain(carried).chain(by_stack.map(|spec| spec.prefix)).collect()
    }

    /// The node's first address on a parent in a family, link-local ones not counted.
    #[must_use]
    pub fn address_on(&self, parent: &InterfaceName, ipv6: bool) -> Option<IpAddr> {
        let own = self.own.get(&self.parents.get(parent)?.link.index)?;
        let fits = |address: &&IpAddr| match address {
            IpAddr::V4(_) => !ipv6,
            IpAddr::V6(v6) => ipv6 && !v6.is_unicast_link_local(),
        };
        own.iter().find(fits).copied()
    }

    /// The node's addresses behind which a parent hides clients of Services, one a family: its own on that
    /// parent, else on another one.
    #[must_use]
    pub fn hiding(&self, parent: &InterfaceName) -> Vec<IpAddr> {
        let others = || self.parents.keys();
        let find = |ipv6| {
            let own = self.address_on(parent, ipv6);
            own.or_else(|| others().find_map(|other| self.address_on(other, ipv6)))
        };
        [false, true].into_iter().filter_map(find).collect()
    }

    /// The whole of the kernel's tables.
    #[must_use]
    pub fn tables(&self) -> Tables {
        Tables {
            endpoints: self.entries().collect(),
            namespaces: self.namespaces().collect(),
            routes: self.map_routes().collect(),
        }
    }

    /// What the `namespaces` map should hold.
    #[must_use]
    pub fn namespaces(&self) -> impl ExactSizeIterator<Item = u32> {
        self.namespaces.keys().copied()
    }

    /// The endpoints that are in the maps.
    fn ready(&self) -> impl Iterator<Item = &Record> {
        self.endpoints().filter(|record| record.stage == Stage::Ready)
    }

    /// The endpoint in the maps that has an address.
    fn holder(&self, address: IpAddr) -> Option<&Record> {
        let owner = self.owners.get(&address).map(Arc::as_ref);
        owner.filter(|record| record.stage == Stage::Ready)
    }

    /// Whether some endpoint that is in the maps is in a network namespace, by its number.
    #[must_use]
    pub fn is_pod(&self, namespace: u32) -> bool {
        self.namespaces.contains_key(&namespace)
    }

    /// Whether some prefix is dropped.
    #[must_use]
    pub fn has_blackholes(&self) -> bool {
        self.routes.values().any(|route| route.spec.path == Path::Drop)
    }
}

/// The address of a prefix that holds no other.
fn alone(prefix: IpNet) -> Option<IpAddr> {
    (prefix.prefix_len() == prefix.max_prefix_len()).then(|| prefix.addr())
}

#[cfg(test)]
mod tests;
