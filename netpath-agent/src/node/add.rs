//! The way in: plan and reserve, ask the wire, fill the maps, wire the pod, commit or undo.

use std::{net::IpAddr, path::Path, sync::Arc};

use futures::future::{BoxFuture, Either, FutureExt as _, select};

use super::{
    Error, Node, Parent, Shared, neighbours, policy,
    remove::{self, Addresses},
    turns::Turn,
    watch,
};
use crate::{
    api::types::Added,
    attachment::Attachment,
    config::OnConflict,
    endpoint::{self, EndpointSpec, Nic, Record, Stage, Wiring, link_local},
    error::chain,
    name::{EndpointName, InterfaceName},
    netlink::Namespace,
    store::Change,
};

/// Addresses that are tried before a pod is refused, each of which somebody on the wire had.
const ATTEMPTS: u32 = 5;

/// What somebody wants.
pub(super) trait Wanted {
    /// The endpoint's name.
    fn name(&self) -> Result<EndpointName, Error>;

    /// Whether an endpoint of that name is the very one.
    fn is(&self, record: &Record) -> Result<(), Error>;

    /// Chooses what the agent chooses, and tells what else is to be written with it.
    fn plan(&self, node: &mut Node) -> Result<(Record, Vec<Change>), Error>;

    /// Whether another address would do.
    fn has_choice(&self) -> bool;
}

impl Wanted for EndpointSpec {
    fn name(&self) -> Result<EndpointName, Error> {
        Ok(self.name.clone())
    }

    fn is(&self, record: &Record) -> Result<(), Error> {
        let same = record.spec == *self && record.attached.is_none();
        same.then_some(()).ok_or_else(|| Error::NameTaken(self.name.clone()))
    }

    fn plan(&self, node: &mut Node) -> Result<(Record, Vec<Change>), Error> {
        Ok((node.draft(self.clone())?, Vec::new()))
    }

    fn has_choice(&self) -> bool {
        false
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
        if record.stage == Stage::Ready && is_alive(&record) {
            super::repair::repair(node, &name).await?;
            return Ok(Added { created: false, item: record });
        }
        remove::take_out(node, &record, Addresses::Release).await?;
    }
    for _ in 1..ATTEMPTS {
        match attempt(node, wanted, &name).await {
            Err(error @ Error::Conflict { .. })
                if wanted.has_choice()
                    && node.lock().await.config.announce.on_conflict == OnConflict::Next =>
            {
                tracing::warn!(endpoint = %name, error = chain(&error), "another one is tried");
            }
            result => return result,
        }
    }
    attempt(node, wanted, &name).await
}

async fn attempt(
    node: &Shared,
    wanted: &impl Wanted,
    name: &EndpointName,
) -> Result<Added<Record>, Error> {
    let (record, mut changes, journal) = {
        let mut node = node.lock().await;
        let (record, changes) = wanted.plan(&mut node)?;
        node.state.insert(record.clone());
        (record, changes, node.journal.clone())
    };
    changes.push(Change::PutEndpoint(Box::new(record.clone())));
    // Whatever happens next, a successor knows what there may be.
    let made = match journal.write(changes).await {
        Ok(()) => make(node, &record).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(record) => {
            tracing::info!(endpoint = %name, "endpoint added");
            Ok(Added { created: true, item: record })
        }
        Err(error) => {
            let addresses = match error {
                Error::Conflict { address, mac } => Addresses::Conflict(address, mac),
                _ => Addresses::Release,
            };
            if let Err(undo) = remove::take_out(node, &record, addresses).await {
                tracing::warn!(endpoint = %name, error = chain(&undo), "could not be undone");
            }
            Err(error)
        }
    }
}

async fn make(node: &Shared, record: &Record) -> Result<Record, Error> {
    let name = &record.spec.name;
    let prepared = match neighbours::probe(node, record).await? {
        Some(probe) => prepare(node, record, probe).await.map(|()| true)?,
        // The maps tell the device.
        None if record.attachment.has_device() => {
            let wiring = node.lock().await.wiring(record)?;
            wiring.prepare().await.map_err(Error::wire(name))?;
            true
        }
        None => false,
    };
    {
        let mut node = node.lock().await;
        if record.attachment.has_device() {
            node.adopt_device(record).await?;
        }
        node.adopt_loopback(record)?;
        node.show_way(record).await?;
    }
    // The maps before the interface: its first packet must find itself known.
    let (record, wiring, journal) = node.lock().await.register(record)?;
    let wired = if prepared { wiring.raise().await } else { wiring.make().await };
    wired.map_err(Error::wire(name))?;
    neighbours::check_gateways(node, &record).await?;
    journal.write(vec![Change::PutEndpoint(Box::new(record.clone()))]).await?;
    tokio::spawn(neighbours::tell(Arc::clone(node), name.clone()));
    tokio::spawn(watch::start(Arc::clone(node), record.clone()));
    watch::tell_exclusive(node, &record).await;
    Ok(record)
}

/// Prepares the interface while the wire is being asked.
async fn prepare(
    node: &Shared,
    record: &Record,
    probe: BoxFuture<'_, Result<(), Error>>,
) -> Result<(), Error> {
    let prepare = node.lock().await.wiring(record)?.prepare().boxed();
    let prepared = match select(prepare, probe).await {
        Either::Left((prepared, probe)) => {
            if prepared.is_ok() {
                probe.await?;
            }
            prepared
        }
        Either::Right((probed, prepare)) => {
            // A visit goes on if nobody waits for it: it has to end before it is undone.
            let prepared = prepare.await;
            probed?;
            prepared
        }
    };
    prepared.map_err(Error::wire(&record.spec.name))
}

/// Whether the endpoint's namespace is still there and still the same.
pub(super) fn is_alive(record: &Record) -> bool {
    let number = number(&record.spec.netns);
    number.is_some() && (record.namespace.is_none() || number == record.namespace)
}

/// The number of the namespace that an endpoint is to be in.
fn number_of(spec: &EndpointSpec) -> Result<u32, endpoint::Error> {
    let namespace = Namespace::open(&spec.netns)?;
    if namespace.is_own()? {
        return Err(endpoint::Error::OwnNamespace(spec.netns.clone()));
    }
    Ok(namespace.number()?)
}

fn number(netns: &Path) -> Option<u32> {
    Namespace::open(netns).and_then(|namespace| namespace.number()).ok()
}

impl Node {
    /// The record of an endpoint that is on its way in.
    pub(super) fn draft(&self, spec: EndpointSpec) -> Result<Record, Error> {
        spec.check()?;
        if policy::is_taken(&self.config, spec.table.0) {
            return Err(Error::TableTaken(spec.table));
        }
        let (attachment, nic) = self.place(&spec)?;
        self.check_siblings(&spec, attachment)?;
        let namespace = number_of(&spec).map_err(Error::wire(&spec.name))?;
        let has_ipv6 = spec.addresses.iter().any(|net| net.addr().is_ipv6());
        let record = Record {
            link_local: has_ipv6.then(|| link_local(spec.addresses[0].addr())),
            slot: self.free_slot()?,
            stage: Stage::Adding,
            namespace: Some(namespace),
            attached: None,
            attachment,
            nic,
            spec,
        };
        for address in record.addresses() {
            self.check_free(address)?;
        }
        Ok(record)
    }

    /// How an endpoint is to be wired, and the NIC that it is to have to itself.
    fn place(&self, spec: &EndpointSpec) -> Result<(Attachment, Option<Nic>), Error> {
        let parent = self.config.parents.iter().find(|parent| parent.name == spec.parent);
        let whole = parent.is_some_and(|parent| parent.attachment == Attachment::Exclusive);
        let usual = match self.state.parents.get(&spec.parent) {
            Some(parent) => parent.config.attachment,
            None if whole => Attachment::Exclusive,
            None => return Err(self.no_parent(&spec.parent)),
        };
        let attachment = spec.attachment.unwrap_or(usual);
        if (attachment == Attachment::Exclusive) != whole {
            return Err(Error::NotWhole { parent: spec.parent.clone(), attachment });
        }
        if !whole {
            return Ok((attachment, None));
        }
        let takes = |record: &&Record| record.spec.parent == spec.parent;
        if let Some(owner) = self.state.endpoints().find(takes) {
            let owner = owner.spec.name.clone();
            return Err(Error::NicTaken { parent: spec.parent.clone(), owner });
        }
        let nic = self.state.nics.get(&spec.parent).cloned();
        nic.map(|nic| (attachment, Some(nic))).ok_or_else(|| self.no_parent(&spec.parent))
    }

    /// Whether the parent's children are of the kind that another one is to be.
    fn check_siblings(&self, spec: &EndpointSpec, attachment: Attachment) -> Result<(), Error> {
        let other = |record: &&Record| {
            record.spec.parent == spec.parent && !record.attachment.goes_with(attachment)
        };
        match self.state.endpoints().find(other) {
            None => Ok(()),
            Some(sibling) => Err(Error::MixedAttachments {
                parent: spec.parent.clone(),
                attachment,
                sibling: sibling.spec.name.clone(),
                other: sibling.attachment,
            }),
        }
    }

    /// The names of the parents that are there.
    pub(super) fn parents(&self) -> String {
        let known = self.state.parents.keys().chain(self.state.nics.keys());
        let known: Vec<_> = known.map(ToString::to_string).collect();
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
        if self.state.services.has(address) {
            return Err(Error::AddressIsService(address));
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
        if let Some(namespace) = record.held_namespace() {
            self.datapath.put_namespace(namespace)?;
        }
        for (key, route) in self.state.ways_to(&record) {
            self.datapath.put_route(&key, &route)?;
        }
        record.addresses().try_for_each(|address| self.write(address))?;
        Ok((record, wiring, self.journal.clone()))
    }

    /// The parent of a name, while it is there.
    pub(super) fn parent(&self, name: &InterfaceName) -> Result<&Parent, Error> {
        self.state.parents.get(name).ok_or_else(|| self.no_parent(name))
    }

    fn no_parent(&self, name: &InterfaceName) -> Error {
        let name = name.clone();
        if self.config.parents.iter().any(|parent| parent.name == name) {
            Error::ParentGone(name)
        } else {
            Error::UnknownParent { name, known: self.parents() }
        }
    }

    /// What there should be in an endpoint's namespace, while its parent is there.
    pub(super) fn wiring(&self, record: &Record) -> Result<Wiring, Error> {
        self.state.wiring(record).ok_or_else(|| self.no_parent(&record.spec.parent))
    }
}
