//! Making, removing and listing endpoints.

use std::net::IpAddr;

use netpath_common::Address;

use super::{Error, Node};
use crate::{
    api::types::{Added, Endpoint},
    endpoint::{EndpointSpec, Plan, Record, is_wired, link_local, unwire},
    error::chain,
    name::EndpointName,
    netlink::Namespace,
};

impl Node {
    /// All endpoints, by name.
    pub(super) fn list_endpoints(&self) -> Vec<Endpoint> {
        self.state.endpoints().map(|record| self.show(record)).collect()
    }

    /// Makes an endpoint. The same one again is no error; should its interface be gone, it is
    /// made anew.
    pub(super) async fn add_endpoint(
        &mut self,
        spec: EndpointSpec,
    ) -> Result<Added<Endpoint>, Error> {
        spec.check()?;
        if let Some(record) = self.state.endpoint(&spec.name) {
            if record.spec != spec {
                return Err(Error::NameTaken(spec.name));
            }
            if is_wired(record).await.map_err(Error::wire(&spec.name))? {
                return Ok(Added { created: false, item: self.show(record) });
            }
            self.remove_endpoint(&spec.name).await?;
        }
        let record = self.plan(spec)?;
        let name = record.spec.name.clone();
        let parent = &self.state.parents[&record.spec.parent];
        let plan = Plan::new(&record, &parent.link, parent.flags()).map_err(Error::wire(&name))?;

        // The store first: whatever happens next, removal knows what there may be. The maps
        // second: the interface's first packet must find itself known.
        self.store.put_endpoint(&record)?;
        self.state.insert(record.clone());
        let done = match self.register(&record) {
            Ok(()) => plan.apply(&self.netlink).await.map_err(Error::wire(&name)),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.undo(&record);
            return Err(error);
        }
        tracing::info!(endpoint = %name, "endpoint added");
        Ok(Added { created: true, item: self.show(&record) })
    }

    /// Removes an endpoint. Every part is tried; the endpoint is forgotten when none is left.
    pub(super) async fn remove_endpoint(&mut self, name: &EndpointName) -> Result<Endpoint, Error> {
        let missing = || Error::NoEndpoint(name.clone());
        let record = self.state.endpoint(name).ok_or_else(missing)?.clone();
        let removed = self.show(&record);
        let mut errors = Vec::new();
        errors.extend(unwire(&record).await.map_err(Error::wire(name)).err());
        self.state.remove(name);
        for address in record.addresses() {
            errors.extend(self.write(address).err());
            errors.extend(self.forget_neighbour(&record, address).await.err());
        }
        let gone: Vec<Address> = record.addresses().map(Address::from).collect();
        errors.extend(self.datapath.retire(record.slot, &gone).err().map(Error::from));
        errors.extend(self.leave(record.namespace).err());
        if errors.is_empty() {
            errors.extend(self.store.remove_endpoint(name.as_str()).err().map(Error::from));
        }
        if errors.is_empty() {
            tracing::info!(endpoint = %name, "endpoint removed");
            return Ok(removed);
        }
        self.state.insert(record);
        Err(Error::Remaining { what: format!("endpoint {name}"), errors })
    }

    /// Makes the node forget that the parent's own Ethernet address leads to the endpoint: the
    /// address may turn up on another node at once.
    async fn forget_neighbour(&self, record: &Record, address: IpAddr) -> Result<(), Error> {
        match self.state.parents.get(&record.spec.parent) {
            Some(parent) => Ok(self.netlink.forget_neighbour(parent.link.index, address).await?),
            None => Ok(()),
        }
    }

    /// Chooses what the agent chooses, and checks what takes the node to check.
    fn plan(&self, spec: EndpointSpec) -> Result<Record, Error> {
        if !self.state.parents.contains_key(&spec.parent) {
            let known: Vec<_> = self.state.parents.keys().map(ToString::to_string).collect();
            return Err(Error::UnknownParent { name: spec.parent, known: known.join(", ") });
        }
        let has_ipv6 = spec.addresses.iter().any(|net| net.addr().is_ipv6());
        let primary = spec.addresses[0].addr();
        let namespace = Namespace::open(&spec.netns).and_then(|netns| netns.number());
        let record = Record {
            link_local: has_ipv6.then(|| link_local(primary)),
            slot: self.free_slot()?,
            namespace: namespace.map_err(|error| Error::wire(&spec.name)(error.into()))?,
            spec,
        };
        for address in record.addresses() {
            self.check_free(address)?;
        }
        Ok(record)
    }

    fn free_slot(&self) -> Result<u32, Error> {
        let capacity = self.config.capacity.endpoints;
        let slot = self.state.free_slot();
        if slot < capacity { Ok(slot) } else { Err(Error::NoSlot(capacity)) }
    }

    fn check_free(&self, address: IpAddr) -> Result<(), Error> {
        if let Some(owner) = self.state.owner(address) {
            return Err(Error::AddressTaken { address, owner: owner.clone() });
        }
        if self.state.host.contains(&address) {
            return Err(Error::AddressIsHost(address));
        }
        Ok(())
    }

    fn register(&mut self, record: &Record) -> Result<(), Error> {
        self.datapath.clear_slot(record.slot)?;
        self.datapath.put_namespace(record.namespace)?;
        record.addresses().try_for_each(|address| self.write(address))
    }

    /// Forgets a namespace that its last endpoint has left.
    fn leave(&mut self, namespace: u32) -> Result<(), Error> {
        if self.state.is_pod(namespace) {
            return Ok(());
        }
        Ok(self.datapath.remove_namespace(namespace)?)
    }

    /// Undoes an addition whose interface was not made.
    fn undo(&mut self, record: &Record) {
        self.state.remove(&record.spec.name);
        let mut errors: Vec<Error> =
            record.addresses().filter_map(|address| self.write(address).err()).collect();
        errors.extend(self.leave(record.namespace).err());
        let name = record.spec.name.as_str();
        errors.extend(self.store.remove_endpoint(name).err().map(Error::from));
        for error in errors {
            tracing::warn!(endpoint = name, error = chain(&error), "could not be undone");
        }
    }

    fn show(&self, record: &Record) -> Endpoint {
        let parent = self.state.parents.get(&record.spec.parent);
        Endpoint {
            spec: record.spec.clone(),
            mac: parent.and_then(|parent| parent.link.mac).map(|mac| mac.to_string()),
            link_local: record.link_local,
        }
    }
}
