//! The way out. Every part is tried; the endpoint is forgotten when none is left.

use std::net::IpAddr;

use netpath_common::{Address, Mac};

use super::{Error, Node, Shared, add::turn, addresses::now, watch};
use crate::{
    endpoint::{Record, Stage, unwire},
    name::EndpointName,
    netlink::{self, Namespace},
    store::Change,
};

/// What becomes of an endpoint's addresses that are from the agent's pools.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses {
    /// They cool down, or wait for their owner.
    Release,
    /// The same, but somebody else on the wire has this one.
    Conflict(IpAddr, Mac),
}

/// Removes an endpoint and tells what it was.
pub(super) async fn remove(node: &Shared, name: &EndpointName) -> Result<Record, Error> {
    let _turn = turn(node, name).await;
    let (record, journal) = {
        let node = node.lock().await;
        let record = node.state.endpoint(name).cloned();
        (record.ok_or_else(|| Error::NoEndpoint(name.clone()))?, node.journal.clone())
    };
    // Should the agent be killed on the way, its successor goes on.
    let leaving = Record { stage: Stage::Deleting, ..record.clone() };
    journal.write(vec![Change::PutEndpoint(Box::new(leaving))]).await?;
    take_out(node, &record, Addresses::Release).await?;
    tracing::info!(endpoint = %name, "endpoint removed");
    Ok(record)
}

/// Removes whatever there is of an endpoint, by whoever has its turn.
pub(super) async fn take_out(
    node: &Shared,
    record: &Record,
    addresses: Addresses,
) -> Result<(), Error> {
    let name = &record.spec.name;
    let (mut errors, parent, journal) = {
        let mut node = node.lock().await;
        let mut errors = node.unregister(record);
        errors.extend(node.forget_way(record).await.err());
        errors.extend(node.leave_loopback().await.err());
        let parent = node.state.parents.get(&record.spec.parent).map(|parent| parent.link.index);
        (errors, parent, node.journal.clone())
    };
    watch::tell_exclusive(node, record).await;
    errors.extend(unwire(record).await.map_err(Error::wire(name)).err());
    if let Some(parent) = parent {
        errors.extend(forget_neighbours(record, parent).await.err());
    }
    if errors.is_empty() {
        let mut changes = node.lock().await.dispose(record, addresses);
        changes.push(Change::RemoveEndpoint(name.clone()));
        errors.extend(journal.write(changes).await.err());
    }
    if errors.is_empty() {
        node.lock().await.fixed.idle.notify_one();
        return Ok(());
    }
    // It keeps its addresses until all is gone.
    let leaving = Record { stage: Stage::Deleting, ..record.clone() };
    node.lock().await.state.insert(leaving);
    Err(Error::Remaining { what: format!("endpoint {name}"), errors })
}

/// Makes the node forget that the parent's own Ethernet address leads to the endpoint: the
/// addresses may turn up on another node at once. The maps come first: as long as the programs
/// answer for the endpoint, the node could learn it anew.
pub(super) async fn forget_neighbours(record: &Record, parent: u32) -> Result<(), Error> {
    let addresses: Vec<_> = record.addresses().collect();
    let forgotten = Namespace::own()?
        .visit(async move |visit| {
            for address in addresses {
                visit.there.forget_neighbour(parent, address).await?;
            }
            Ok::<_, netlink::Error>(())
        })
        .await?;
    Ok(forgotten?)
}

impl Node {
    /// Lets go of the addresses that an endpoint has from the pools, and tells what is to be
    /// written.
    fn dispose(&mut self, record: &Record, addresses: Addresses) -> Vec<Change> {
        let Some(attached) = &record.attached else { return Vec::new() };
        match addresses {
            Addresses::Release => self.release_addresses(&attached.spec.id),
            Addresses::Conflict(address, mac) => {
                let conflict = self.ipam.mark_conflict(address, &mac.to_string(), now());
                let mut changes: Vec<Change> = Change::allocations(conflict).collect();
                changes.extend(self.release_addresses(&attached.spec.id));
                changes
            }
        }
    }

    /// Takes an endpoint out of the maps and lets its addresses and its slot go.
    fn unregister(&mut self, record: &Record) -> Vec<Error> {
        let name = &record.spec.name;
        self.state.remove(name);
        self.state.devices.remove(name);
        self.watch.forget(name);
        let mut errors: Vec<Error> =
            record.addresses().filter_map(|address| self.write(address).err()).collect();
        for (way, _) in self.state.ways_to(record) {
            errors.extend(self.datapath.remove_route(&way).err().map(Error::from));
        }
        let gone: Vec<Address> = record.addresses().map(Address::from).collect();
        errors.extend(self.datapath.retire(record.slot, &gone).err().map(Error::from));
        let namespace = record.namespace_number();
        if !self.state.is_pod(namespace) {
            errors.extend(self.datapath.remove_namespace(namespace).err().map(Error::from));
        }
        errors
    }
}
