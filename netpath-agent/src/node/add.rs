//! The way in: plan and reserve, ask the wire, fill the maps, wire the pod, commit or undo.

use std::{net::IpAddr, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use super::{Error, Node, Parent, Shared, neighbours, remove, turns::Turn, watch};
use crate::{
    api::types::Added,
    endpoint::{EndpointSpec, Record, Stage, Wiring, link_local},
    error::chain,
    name::{EndpointName, InterfaceName},
    store::Change,
};

/// What somebody wants.
pub(super) trait Wanted {
    /// The endpoint's name.
    fn name(&self) -> Result<EndpointName, Error>;

    /// Whether an endpoint of that name is the very one.
    fn is(&self, record: &Record) -> Result<(), Error>;

    /// Chooses what the agent chooses. It reserves nothing.
    fn plan(&self, node: &mut Node) -> Result<Record, Error>;
}

impl Wanted for EndpointSpec {
    fn name(&self) -> Result<EndpointName, Error> {
        Ok(self.name.clone())
    }

    fn is(&self, record: &Record) -> Result<(), Error> {
        let same = record.spec == *self && record.attached.is_none();
        same.then_some(()).ok_or_else(|| Error::NameTaken(self.name.clone()))
    }

    fn plan(&self, node: &mut Node) -> Result<Record, Error> {
        node.draft(self.clone())
    }
}

/// Waits until nobody else works on the endpoint.
pub(super) async fn turn(node: &Shared, name: &EndpointName) -> Turn {
    let queue = node.lock().await.turns.queue(name);
    queue.lock_owned().await
}

/// Makes an endpoint. The same one again is no error; what is missing of it is made anew.
pub(super) async fn add(node: &Shared, wanted: &impl Wanted) -> Result<Added<Record>, Error> {
    let name = wanted.name()?;
    let _turn = turn(node, &name).await;
    let known = node.lock().await.state.endpoint(&name).cloned();
    if let Some(record) = known {
        wanted.is(&record)?;
        if is_alive(&record) {
            super::repair::repair(node, &name).await?;
            return Ok(Added { created: false, item: record });
        }
        remove::take_out(node, &record).await?;
    }
    let (record, journal) = {
        let mut node = node.lock().await;
        let record = wanted.plan(&mut node)?;
        node.state.insert(record.clone());
        (record, node.journal.clone())
    };
    // Whatever happens next, a successor knows what there may be.
    let written = journal.write(vec![Change::PutEndpoint(Box::new(record.clone()))]).await;
    let made = match written {
        Ok(()) => make(node, &record).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(record) => {
            tracing::info!(endpoint = %name, "endpoint added");
            Ok(Added { created: true, item: record })
        }
        Err(error) => {
            if let Err(undo) = remove::take_out(node, &record).await {
                tracing::warn!(endpoint = %name, error = chain(&undo), "could not be undone");
            }
            Err(error)
        }
    }
}

async fn make(node: &Shared, record: &Record) -> Result<Record, Error> {
    let name = &record.spec.name;
    // In the meantime, nothing but the store knows of it.
    neighbours::probe(node, record).await?;
    // The maps before the interface: its first packet must find itself known.
    let (record, wiring, journal) = node.lock().await.register(record)?;
    wiring.make().await.map_err(Error::wire(name))?;
    neighbours::check_gateways(node, &record).await?;
    journal.write(vec![Change::PutEndpoint(Box::new(record.clone()))]).await?;
    tokio::spawn(neighbours::tell(Arc::clone(node), name.clone()));
    tokio::spawn(watch::start(Arc::clone(node), record.clone()));
    Ok(record)
}

/// Whether the endpoint's namespace is still there and still the same.
pub(super) fn is_alive(record: &Record) -> bool {
    let number = number(&record.spec.netns);
    number.is_some() && (record.namespace.is_none() || number == record.namespace)
}

fn number(netns: &Path) -> Option<u64> {
    std::fs::metadata(netns).ok().map(|metadata| metadata.ino())
}

impl Node {
    /// The record of an endpoint that is on its way in.
    pub(super) fn draft(&self, spec: EndpointSpec) -> Result<Record, Error> {
        spec.check()?;
        self.parent(&spec.parent)?;
        let has_ipv6 = spec.addresses.iter().any(|net| net.addr().is_ipv6());
        let record = Record {
            link_local: has_ipv6.then(|| link_local(spec.addresses[0].addr())),
            slot: self.free_slot()?,
            stage: Stage::Adding,
            namespace: number(&spec.netns),
            attached: None,
            spec,
        };
        for address in record.addresses() {
            self.check_free(address)?;
        }
        Ok(record)
    }

    /// The names of the parents that are there.
    pub(super) fn parents(&self) -> String {
        let known: Vec<_> = self.state.parents.keys().map(ToString::to_string).collect();
        known.join(", ")
    }

    fn free_slot(&self) -> Result<u32, Error> {
        let capacity = self.config.capacity.endpoints;
        let slot = self.state.free_slot();
        if slot < capacity { Ok(slot) } else { Err(Error::NoSlot(capacity)) }
    }

    pub(super) fn check_free(&self, address: IpAddr) -> Result<(), Error> {
        if let Some(owner) = self.state.owner(address) {
            return Err(Error::AddressTaken { address, owner: owner.clone() });
        }
        if self.state.host.contains(&address) {
            return Err(Error::AddressIsHost(address));
        }
        Ok(())
    }

    /// Writes an endpoint to the maps. Returns it as it will be, and what there should be in its
    /// namespace.
    fn register(
        &mut self,
        record: &Record,
    ) -> Result<(Record, Wiring, super::journal::Journal), Error> {
        let record = Record { stage: Stage::Ready, ..record.clone() };
        let wiring = self.wiring(&record)?;
        self.state.insert(record.clone());
        self.datapath.clear_slot(record.slot)?;
        record.addresses().try_for_each(|address| self.write(address))?;
        Ok((record, wiring, self.journal.clone()))
    }

    /// The parent of a name, while it is there.
    pub(super) fn parent(&self, name: &InterfaceName) -> Result<&Parent, Error> {
        let unknown = || Error::UnknownParent { name: name.clone(), known: self.parents() };
        self.state.parents.get(name).ok_or_else(unknown)
    }

    /// What there should be in an endpoint's namespace, while its parent is there.
    pub(super) fn wiring(&self, record: &Record) -> Result<Wiring, Error> {
        let parent = self.parent(&record.spec.parent)?;
        Ok(Wiring::new(record, &parent.link, parent.flags()))
    }
}
