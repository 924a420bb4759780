//! The tables as plain collections.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Deref,
};

use anyhow::Result;
use ipnet::IpNet;
use netpath_agent::{datapath::Datapath, service::Entry};
use netpath_common::{
    Address, Connection, Endpoint, FlowKey, Node, Parent, Route, RouteKey, ServiceKey, Tables,
    endpoint::NO_SLOT,
    flow::{GATE_CONNECTIONS, GATE_FLOWS},
};

use super::translated::Translated;

/// What the maps hold.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    /// Endpoints and the node's own addresses.
    pub endpoints: HashMap<Address, Endpoint>,
    /// Pods' network namespaces.
    pub namespaces: BTreeSet<u32>,
    /// Routes by table, prefix length and prefix.
    pub routes: BTreeMap<(u32, u32, Address), Route>,
    /// Parents.
    pub parents: BTreeMap<u32, Parent>,
    /// The node.
    pub node: Node,
    /// What the programs wrote: the answers to what the host stack forwarded.
    pub flows: RefCell<Flows>,
    /// Services, and the prefixes that they admit.
    pub services: BTreeMap<ServiceKey, (Entry, Vec<IpNet>)>,
    /// What the programs wrote of connections.
    pub translated: RefCell<Translated>,
}

/// What the programs remember.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    keys: std::collections::HashSet<FlowKey>,
    slots: BTreeSet<u32>,
}

impl Plain {
    /// Adds a route.
    pub fn route(&mut self, key: RouteKey, route: Route) {
        self.routes.insert((key.table, key.prefix_len, key.address), route);
    }

    /// Notes the answers to a packet, as the programs do.
    pub fn record(&self, packet: &netpath_common::Packet) {
        let mut flows = self.flows.borrow_mut();
        let answers = FlowKey::answering(packet);
        flows.keys.extend([answers, answers.of_fragments()]);
        for address in [packet.source, packet.destination] {
            flows.slots.extend(self.endpoints.get(&address).map(|endpoint| endpoint.slot));
        }
    }

    /// Writes the tables into maps that are empty, or hold what [`Self::unload`] removes.
    pub fn load(&self, datapath: &mut Datapath) -> Result<()> {
        for (address, endpoint) in &self.endpoints {
            datapath.put_endpoint(*address, endpoint)?;
        }
        for namespace in &self.namespaces {
            datapath.put_namespace(*namespace)?;
        }
        for ((table, prefix_len, address), route) in &self.routes {
            let key = RouteKey { prefix_len: *prefix_len, table: *table, address: *address };
            datapath.put_route(&key, route)?;
        }
        for (ifindex, parent) in &self.parents {
            datapath.put_parent(*ifindex, parent)?;
        }
        for (key, (entry, sources)) in &self.services {
            datapath.put_service(*key, entry)?;
            for source in sources {
                datapath.put_source(entry.id, source)?;
            }
        }
        Ok(datapath.set_node(&self.node)?)
    }

    /// Removes from the maps what [`Self::load`] and the programs wrote.
    pub fn unload(&self, datapath: &mut Datapath) -> Result<()> {
        for (address, endpoint) in &self.endpoints {
            datapath.remove_endpoint(address);
            if endpoint.slot != NO_SLOT {
                datapath.clear_slot(endpoint.slot)?;
            }
        }
        for namespace in &self.namespaces {
            datapath.remove_namespace(*namespace)?;
        }
        for (table, prefix_len, address) in self.routes.keys() {
            let key = RouteKey { prefix_len: *prefix_len, table: *table, address: *address };
            datapath.remove_route(&key)?;
        }
        for (key, (entry, sources)) in &self.services {
            datapath.remove_service(key)?;
            for source in sources {
                datapath.remove_source(entry.id, source)?;
            }
        }
        datapath.settle_services();
        datapath.forget_translated()?;
        Ok(datapath.forget_flows(|_| true)?)
    }
}

/// A copy out of a collection.
#[derive(Debug)]
pub struct Copied<V>(pub(super) V);

impl<V> Deref for Copied<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

impl Tables for Plain {
    const TRANSLATES: bool = true;

    type Ref<'a, V: 'a>
        = Copied<V>
    where
        Self: 'a;

    fn endpoint(&self, address: &Address) -> Option<Copied<Endpoint>> {
        self.endpoints.get(address).copied().map(Copied)
    }

    fn route(&self, key: &RouteKey) -> Option<Copied<Route>> {
        let of_table =
            (key.table, 0, Address::UNSPECIFIED)..(key.table + 1, 0, Address::UNSPECIFIED);
        self.routes
            .range(of_table)
            .rev()
            .find(|((_, length, prefix), _)| covers(prefix, length - 32, &key.address))
            .map(|(_, route)| Copied(*route))
    }

    fn is_pod(&self, namespace: u32) -> bool {
        self.namespaces.contains(&namespace)
    }

    fn parent(&self, ifindex: u32) -> Option<Copied<Parent>> {
        self.parents.get(&ifindex).copied().map(Copied)
    }

    fn node(&self) -> Option<Copied<Node>> {
        Some(Copied(self.node))
    }

    fn gates(&self, slot: u32) -> u32 {
        let flows = if self.flows.borrow().slots.contains(&slot) { GATE_FLOWS } else { 0 };
        flows | if self.translated.borrow().is_open(slot) { GATE_CONNECTIONS } else { 0 }
    }

    fn node_gates(&self) -> u32 {
        if self.translated.borrow().is_open(NO_SLOT) { GATE_CONNECTIONS } else { 0 }
    }

    fn flow(&self, key: &FlowKey) -> bool {
        self.flows.borrow().keys.contains(key)
    }

    fn connection(&self, key: &FlowKey) -> Option<Copied<Connection>> {
        self.translated.borrow().connection(key).map(Copied)
    }
}

/// Whether the first `length` of 128 bits agree.
fn covers(prefix: &Address, length: u32, address: &Address) -> bool {
    let [prefix, address] = [prefix, address].map(|it| u128::from_be_bytes(it.octets));
    length == 0 || (prefix ^ address) >> (128 - length) == 0
}
