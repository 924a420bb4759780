//! Addresses of Services: what ordinary packets learn of them by their one lookup.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use netpath_common::{
    Endpoint, Mac, ServiceKey,
    endpoint::{FLAG_CLUSTER, FLAG_NODE_PORTS, FLAG_SERVICE, NO_SLOT},
    route::TABLE_MAIN,
    service::FLAG_EXTERNAL,
};

use super::State;
use crate::service::registry::{Delta, is_of_node};

/// How many entries of the `services` map are under which address.
#[derive(Clone, Debug, Default)]
pub struct ServiceAddresses {
    /// Whether addresses that are nobody else's are in the `endpoints` map: packets are translated.
    pub at_packets: bool,
    counts: HashMap<IpAddr, usize>,
    /// Those that the cluster knows Services by.
    cluster: HashSet<IpAddr>,
    /// Those of node ports, by family.
    node_ports: [usize; 2],
    /// The same, by port.
    ports: BTreeMap<u16, usize>,
}

impl ServiceAddresses {
    /// Whether some Service has an address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.counts.contains_key(&address)
    }

    /// Addresses that may be nobody else's.
    pub(super) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.counts.keys().copied().filter(|_| self.at_packets)
    }

    /// Whether packets to an address may be to a Service.
    pub(super) fn is_alone(&self, address: IpAddr) -> bool {
        self.at_packets && self.has(address)
    }

    /// The first and the last node port, for packets; none is 0.
    #[must_use]
    pub fn node_port_range(&self) -> [u16; 2] {
        let ends = [self.ports.first_key_value(), self.ports.last_key_value()];
        ends.map(|end| end.filter(|_| self.at_packets).map_or(0, |(port, _)| *port))
    }

    /// Counts an entry more, or less. Tells whether its address, or the family of its node ports, came
    /// or went by that.
    fn count(&mut self, key: &ServiceKey, more: bool) -> bool {
        let address = IpAddr::from(key.address);
        let count = if is_of_node(key) {
            let port = u16::from_be(key.port);
            let uses = self.ports.entry(port).or_default();
            *uses = if more { *uses + 1 } else { uses.saturating_sub(1) };
            if *uses == 0 {
                self.ports.remove(&port);
            }
            &mut self.node_ports[usize::from(address.is_ipv6())]
        } else {
            self.counts.entry(address).or_default()
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        let turned = *count == usize::from(more);
        if *count == 0 {
            self.counts.remove(&address);
            self.cluster.remove(&address);
        }
        turned
    }
}

impl State {
    /// Follows a change of the `services` map. Returns the addresses whose entries in the `endpoints`
    /// map are others now.
    pub fn follow_services(&mut self, delta: &Delta) -> BTreeSet<IpAddr> {
        let mut touched = BTreeSet::new();
        for (key, entry) in &delta.put {
            if entry.flags & FLAG_EXTERNAL == 0 {
                self.services.cluster.insert(key.address.into());
            }
        }
        let added = delta.added.iter().map(|key| (key, true));
        for (key, more) in added.chain(delta.remove.iter().map(|key| (key, false))) {
            if !self.services.count(key, more) {
                continue;
            }
            let address = IpAddr::from(key.address);
            if is_of_node(key) {
                let family = |own: &&IpAddr| own.is_ipv6() == address.is_ipv6();
                touched.extend(self.host.iter().filter(family));
            } else {
                touched.insert(address);
            }
        }
        touched
    }

    /// What an address has for Services, be it whose it may.
    pub(super) fn service_flag(&self, address: IpAddr) -> u8 {
        let cluster = self.services.cluster.contains(&address);
        match (self.services.is_alone(address), cluster) {
            (false, _) => 0,
            (true, false) => FLAG_SERVICE,
            (true, true) => FLAG_SERVICE | FLAG_CLUSTER,
        }
    }

    /// What one of the node's own addresses has for node ports.
    pub(super) fn node_port_flag(&self, address: IpAddr) -> u8 {
        let ports = self.services.node_ports[usize::from(address.is_ipv6())];
        if ports > 0 { FLAG_NODE_PORTS } else { 0 }
    }

    /// The entry of an address that is nobody's but a Service's.
    pub(super) const fn service_entry(flags: u8) -> Endpoint {
        Endpoint {
            parent: 0,
            slot: NO_SLOT,
            table: TABLE_MAIN,
            namespace: 0,
            device: 0,
            mac: Mac::new([0; 6]),
            attachment: netpath_common::Attachment::Service as u8,
            flags,
        }
    }
}
