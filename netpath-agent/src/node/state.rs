//! The desired state: what the operator and the node's own configuration ask for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use netpath_common::{
    Address, Endpoint, Mac, Path, Route, RouteKey,
    endpoint::{FLAG_ROUTED, FLAG_STACK, NO_SLOT},
};

use super::tables::Tables;
use crate::{
    attachment::Attachment,
    config::{self, Switching},
    endpoint::{Child, Nic, Record, Stage, Wiring},
    masquerade::MasqueradeSpec,
    name::{EndpointName, InterfaceName},
    netlink::{IpvlanFlags, IpvlanMode, Link, MacvlanMode},
    route::{RouteSpec, Table},
    rule::{self, RuleSpec},
};

/// A configured parent and the device it was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// What was configured.
    pub config: config::Parent,
    /// The device.
    pub link: Link,
}

impl Parent {
    /// What the kernel calls its device. It takes control characters as well; a name with one is good
    /// for nothing here.
    #[must_use]
    pub fn device(&self) -> InterfaceName {
        self.link.name.clone().try_into().unwrap_or_else(|_| self.config.name.clone())
    }

    /// What the interface of an endpoint on it is to be.
    fn child(&self, record: &Record) -> Option<Child> {
        let driver = self.config.switching == Switching::Driver;
        let ipvlan = |mode| {
            Child::Ipvlan(mode, if driver { IpvlanFlags::Bridge } else { IpvlanFlags::Vepa })
        };
        Some(match record.attachment {
            Attachment::IpvlanL2 => ipvlan(IpvlanMode::L2),
            Attachment::IpvlanL3 => ipvlan(IpvlanMode::L3),
            Attachment::IpvlanL3s => ipvlan(IpvlanMode::L3s),
            Attachment::Macvlan => Child::Macvlan {
                mode: if driver { MacvlanMode::Bridge } else { MacvlanMode::Vepa },
                mac: record.mac()?,
            },
            Attachment::PolicyRoute => Child::Veth { mac: record.mac()? },
            Attachment::Exclusive => Child::Nic(record.nic.clone()?),
        })
    }
}

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

    /// What the `endpoints` map should hold for an address.
    #[must_use]
    pub fn entry(&self, address: IpAddr) -> Option<Endpoint> {
        match self.holder(address) {
            Some(record) => self.address_entry(record, address),
            None => self.host.contains(&address).then(|| self.host_entry(self.flags(address))),
        }
    }

    /// The endpoint in the maps that has an address.
    fn holder(&self, address: IpAddr) -> Option<&Record> {
        let owner = self.owners.get(&address).map(Arc::as_ref);
        owner.filter(|record| record.stage == Stage::Ready)
    }

    fn flags(&self, address: IpAddr) -> u8 {
        if self.routed.get(&address).is_some_and(|count| *count > 0) { FLAG_ROUTED } else { 0 }
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

    /// Every device's address leads to the node, whichever parent a packet comes by: the kernel
    /// takes packets for any of its addresses on any device.
    const fn host_entry(&self, flags: u8) -> Endpoint {
        Endpoint {
            parent: 0,
            slot: NO_SLOT,
            table: netpath_common::route::TABLE_MAIN,
            namespace: self.namespace,
            device: 0,
            mac: Mac::new([0; 6]),
            attachment: netpath_common::Attachment::Host as u8,
            flags,
        }
    }

    /// The entry of an endpoint's address, with the table that is asked for it.
    fn address_entry(&self, record: &Record, address: IpAddr) -> Option<Endpoint> {
        let table = rule::table_of(&self.rules, record.spec.table, address).0;
        Some(Endpoint { table, ..self.endpoint_entry(record, self.flags(address))? })
    }

    /// `None` while its parent is missing, or its device: a dead index must not be written. An endpoint
    /// with a device of its own lacks nothing but the wire without its parent.
    fn endpoint_entry(&self, record: &Record, flags: u8) -> Option<Endpoint> {
        let link = self.parents.get(&record.spec.parent).map(|parent| &parent.link);
        let (parent, device, stack) = match record.attachment {
            Attachment::Exclusive => {
                (0, *self.devices.get(&record.spec.name)?, FLAG_STACK | FLAG_ROUTED)
            }
            Attachment::PolicyRoute => {
                let device = *self.devices.get(&record.spec.name)?;
                let stack = if self.is_carried(record) { FLAG_STACK } else { 0 };
                (link.map_or(0, |link| link.index), device, stack)
            }
            _ => (link?.index, 0, 0),
        };
        Some(Endpoint {
            parent,
            slot: record.slot,
            table: record.spec.table.0,
            namespace: record.namespace_number(),
            device,
            mac: record.mac().or(link.and_then(|link| link.mac))?,
            attachment: record.attachment.number() as u8,
            flags: flags | stack,
        })
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

    /// The whole of the kernel's tables.
    #[must_use]
    pub fn tables(&self) -> Tables {
        Tables {
            endpoints: self.entries().collect(),
            namespaces: self.namespaces().collect(),
            routes: self.map_routes().collect(),
        }
    }

    /// What the `endpoints` map should hold. Should the node take an endpoint's address, the
    /// endpoint keeps it.
    pub fn entries(&self) -> impl Iterator<Item = (Address, Endpoint)> {
        let host = self.host.iter().filter(|address| self.holder(**address).is_none());
        let host = host.map(|address| (*address, self.host_entry(self.flags(*address))));
        let endpoints = self.ready().flat_map(move |record| {
            record
                .addresses()
                .filter_map(move |address| Some((address, self.address_entry(record, address)?)))
        });
        host.chain(endpoints).map(|(address, endpoint)| (Address::from(address), endpoint))
    }

    /// How many those are, without making them.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        let host = self.host.iter().filter(|address| self.holder(**address).is_none());
        let there = |record: &&Record| self.endpoint_entry(record, 0).is_some();
        let endpoints = self.ready().filter(there);
        host.count() + endpoints.map(|record| record.addresses().count()).sum::<usize>()
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

mod masquerade;
mod prefixes;
#[cfg(test)]
mod tests;
