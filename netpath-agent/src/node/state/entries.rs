//! What the `endpoints` map should hold: endpoints that can be reached, the node's own addresses, and
//! those of Services.

use std::net::IpAddr;

use netpath_common::{
    Address, Endpoint, Mac,
    endpoint::{FLAG_ROUTED, FLAG_STACK, NO_SLOT},
};

use super::State;
use crate::{attachment::Attachment, endpoint::Record, rule};

impl State {
    /// What the `endpoints` map should hold. Should the node take an endpoint's address, the
    /// endpoint keeps it.
    pub fn entries(&self) -> impl Iterator<Item = (Address, Endpoint)> {
        let host = self.host.iter().filter(|address| self.holder(**address).is_none());
        let host = host.map(|address| (*address, self.host_entry(*address)));
        let endpoints = self.ready().flat_map(move |record| {
            record
                .addresses()
                .filter_map(move |address| Some((address, self.address_entry(record, address)?)))
        });
        let services = self.service_addresses();
        let services = services.map(|address| (address, Self::service_entry(self.flags(address))));
        let all = host.chain(endpoints).chain(services);
        all.map(|(address, endpoint)| (Address::from(address), endpoint))
    }

    /// How many those are, without making them.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        let host = self.host.iter().filter(|address| self.holder(**address).is_none());
        let there = |record: &&Record| self.endpoint_entry(record, 0).is_some();
        let endpoints = self.ready().filter(there);
        let endpoints = endpoints.map(|record| record.addresses().count()).sum::<usize>();
        host.count() + endpoints + self.service_addresses().count()
    }

    /// What the `endpoints` map should hold for an address.
    #[must_use]
    pub fn entry(&self, address: IpAddr) -> Option<Endpoint> {
        match self.holder(address) {
            Some(record) => self.address_entry(record, address),
            None if self.host.contains(&address) => Some(self.host_entry(address)),
            None if self.services.is_alone(address) => {
                Some(Self::service_entry(self.flags(address)))
            }
            None => None,
        }
    }

    /// Addresses that are nobody's but a Service's.
    fn service_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let free = |address: &IpAddr| self.holder(*address).is_none();
        self.services.iter().filter(|address| !self.host.contains(address)).filter(free)
    }

    fn flags(&self, address: IpAddr) -> u8 {
        let routed = self.routed.get(&address).is_some_and(|count| *count > 0);
        self.service_flag(address) | if routed { FLAG_ROUTED } else { 0 }
    }

    /// Every device's address leads to the node, whichever parent a packet comes by: the kernel
    /// takes packets for any of its addresses on any device.
    /// It names the parent that has it, by which answers of endpoints leave that have none themselves.
    fn host_entry(&self, address: IpAddr) -> Endpoint {
        let parent = self.own.iter().find(|(_, addresses)| addresses.contains(&address));
        Endpoint {
            parent: parent.map_or(0, |(index, _)| *index),
            slot: NO_SLOT,
            table: netpath_common::route::TABLE_MAIN,
            namespace: self.namespace,
            device: 0,
            mac: Mac::new([0; 6]),
            attachment: netpath_common::Attachment::Host as u8,
            flags: self.flags(address) | self.node_port_flag(address),
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
}
