//! All Services, who has which address and port, and what a change of one changes in the tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use netpath_common::{Address, ServiceKey};
use serde::{Deserialize, Serialize};

use super::{
    Invalid, Problem, Protocol, ServiceName, ServiceSpec,
    ids::Ids,
    resolve::{Resolved, View, resolve},
    table::Entry,
};
use crate::name::EndpointName;

/// Who says that there is a Service. Where several do, the later one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Somebody, at runtime.
    Runtime,
    /// The Kubernetes cluster.
    Kubernetes,
    /// The file that the configuration names.
    File,
}

impl Origin {
    /// What tables show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Kubernetes => "kubernetes",
            Self::File => "file",
        }
    }

    /// Where it is said.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Runtime => "somebody at runtime",
            Self::Kubernetes => "the Kubernetes cluster",
            Self::File => "the file of Services",
        }
    }
}

/// A Service and its part in the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The Service.
    pub spec: ServiceSpec,
    /// Who says so.
    pub origin: Origin,
    /// Its part.
    pub resolved: Resolved,
}

/// What turns one part of the tables into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Entries that are missing or different.
    pub put: Vec<(ServiceKey, Entry)>,
    /// Those of them that are missing.
    pub added: Vec<ServiceKey>,
    /// Entries that should not be there.
    pub remove: Vec<ServiceKey>,
    /// Source ranges that are missing.
    pub put_sources: Vec<(u32, IpNet)>,
    /// Source ranges that should not be there.
    pub remove_sources: Vec<(u32, IpNet)>,
}

/// What taking a Service in did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There was none of the name.
    Created,
    /// There was another one.
    Changed,
    /// It was there.
    Unchanged,
}

/// All Services.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    services: BTreeMap<ServiceName, Arc<Held>>,
    owners: HashMap<ServiceKey, ServiceName>,
    health: HashMap<u16, ServiceName>,
    ids: Ids,
}

impl Registry {
    /// All of them, by name.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Held>> {
        self.services.values()
    }

    /// The one of a name.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&Arc<Held>> {
        self.services.get(name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The one that has an address and a port.
    #[must_use]
    pub fn owner(&self, key: &ServiceKey) -> Option<&ServiceName> {
        self.owners.get(key)
    }

    /// What `services` should hold for a key.
    #[must_use]
    pub fn entry(&self, key: &ServiceKey) -> Option<&Entry> {
        self.services.get(self.owners.get(key)?)?.resolved.entries.get(key)
    }

    /// How many entries `services` should have.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.owners.len()
    }

    /// Whether there is a Service with this number and source range.
    #[must_use]
    pub fn has_source(&self, source: &(u32, IpNet)) -> bool {
        let owner = self.ids.owner(source.0).and_then(|name| self.services.get(name));
        owner.is_some_and(|held| held.resolved.sources.contains(source))
    }

    /// All node ports and who has them.
    pub fn node_ports(&self) -> impl Iterator<Item = (u16, Protocol, &ServiceName)> {
        let node_ports = self.owners.iter().filter(|(key, _)| is_of_node(key));
        let named = node_ports.filter_map(|(key, name)| {
            Some((u16::from_be(key.port), Protocol::from_number(key.protocol)?, name))
        });
        // One a family is enough.
        named.collect::<BTreeSet<_>>().into_iter()
    }

    /// The Services with a health check, by its port.
    pub fn health_checks(&self) -> impl Iterator<Item = (u16, &Arc<Held>)> {
        self.health.iter().filter_map(|(port, name)| Some((*port, self.services.get(name)?)))
    }

    /// Takes a Service in, in place of the one with the same name. `holder` tells which endpoint of
    /// this node has an address.
    pub fn put(
        &mut self,
        spec: ServiceSpec,
        origin: Origin,
        view: &View<'_>,
        holder: impl Fn(IpAddr) -> Option<EndpointName>,
    ) -> Result<(Outcome, Delta), Invalid> {
        spec.check()?;
        if origin != Origin::Kubernetes {
            spec.check_targets()?;
        }
        let before = self.services.get(&spec.name).cloned();
        if let Some(held) = &before
            && held.spec == spec
            && held.origin == origin
        {
            return Ok((Outcome::Unchanged, Delta::default()));
        }
        self.check_others(&spec, holder)?;
        let outcome = if before.is_some() { Outcome::Changed } else { Outcome::Created };
        Ok((outcome, self.set(spec, origin, view)))
    }

    /// Resolves a Service again, for what it depends on has changed.
    pub fn refresh(&mut self, name: &ServiceName, view: &View<'_>) -> Delta {
        let Some(held) = self.services.get(name) else { return Delta::default() };
        let (spec, origin) = (held.spec.clone(), held.origin);
        self.set(spec, origin, view)
    }

    /// Lets a Service go.
    pub fn remove(&mut self, name: &ServiceName) -> Option<(Arc<Held>, Delta)> {
        let held = self.services.remove(name)?;
        let delta = Delta::between(&held.resolved, &Resolved::default());
        self.forget(&held, &Resolved::default());
        Some((held, delta))
    }

    /// Takes back what was there before a change.
    pub fn restore(&mut self, name: &ServiceName, before: Option<&Held>, view: &View<'_>) -> Delta {
        match before {
            Some(held) => self.set(held.spec.clone(), held.origin, view),
            None => self.remove(name).map(|(_, delta)| delta).unwrap_or_default(),
        }
    }

    fn set(&mut self, spec: ServiceSpec, origin: Origin, view: &View<'_>) -> Delta {
        let name = spec.name.clone();
        let resolved = resolve(&spec, view, |group| self.ids.of(&name, group));
        let before = self.services.get(&name).cloned();
        let empty = Resolved::default();
        let old = before.as_ref().map_or(&empty, |held| &held.resolved);
        let delta = Delta::between(old, &resolved);
        if let Some(held) = &before {
            self.forget(held, &resolved);
        }
        for key in &delta.added {
            self.owners.insert(*key, name.clone());
        }
        if let Some(port) = spec.health_check_port {
            self.health.insert(port, name.clone());
        }
        self.services.insert(name, Arc::new(Held { spec, origin, resolved }));
        delta
    }

    /// Gives back what a Service had and has no more.
    fn forget(&mut self, held: &Held, now: &Resolved) {
        let Resolved { entries, sources: _ } = &held.resolved;
        let kept: BTreeSet<_> = now.entries.values().map(|entry| entry.id).collect();
        for (key, entry) in entries {
            if !now.entries.contains_key(key) {
                self.owners.remove(key);
            }
            if !kept.contains(&entry.id) {
                self.ids.release(entry.id);
            }
        }
        if let Some(port) = held.spec.health_check_port {
            self.health.remove(&port);
        }
    }

    /// Whether others have what a Service wants.
    fn check_others(
        &self,
        spec: &ServiceSpec,
        holder: impl Fn(IpAddr) -> Option<EndpointName>,
    ) -> Result<(), Invalid> {
        let other = |owner: Option<&ServiceName>| owner.filter(|it| **it != spec.name).cloned();
        let lists = [
            ("cluster_ips", &spec.cluster_ips),
            ("external_ips", &spec.external_ips),
            ("load_balancer_ips", &spec.load_balancer_ips),
        ];
        for (list, addresses) in lists {
            for (at, address) in addresses.iter().enumerate() {
                let field = || format!("{list}[{at}]");
                if let Some(owner) = holder(*address) {
                    let problem = Problem::AddressIsEndpoint { address: *address, owner };
                    return Err(problem.at(field()));
                }
                for port in &spec.ports {
                    let (address, protocol, port) = (*address, port.protocol, port.port);
                    let key = ServiceKey::new(address.into(), port.to_be(), protocol.number());
                    if let Some(owner) = other(self.owners.get(&key)) {
                        let problem = Problem::FrontendTaken { address, port, protocol, owner };
                        return Err(problem.at(field()));
                    }
                }
            }
        }
        for (at, port) in spec.ports.iter().enumerate() {
            let Some(node_port) = port.node_port else { continue };
            let field = || format!("ports[{at}].node_port");
            if port.protocol == Protocol::Tcp
                && let Some(owner) = other(self.health.get(&node_port))
            {
                return Err(Problem::HealthPortTaken { port: node_port, owner }.at(field()));
            }
            for like in &spec.cluster_ips {
                let key = of_node(*like, node_port, port.protocol);
                if let Some(owner) = other(self.owners.get(&key)) {
                    let (port, protocol) = (node_port, port.protocol);
                    return Err(Problem::NodePortTaken { port, protocol, owner }.at(field()));
                }
            }
        }
        let Some(port) = spec.health_check_port else { return Ok(()) };
        let field = "health_check_port";
        if let Some(owner) = other(self.health.get(&port)) {
            return Err(Problem::HealthPortTaken { port, owner }.at(field));
        }
        for like in [IpAddr::from([0; 4]), IpAddr::from([0_u16; 8])] {
            if let Some(owner) = other(self.owners.get(&of_node(like, port, Protocol::Tcp))) {
                return Err(Problem::HealthPortIsNodePort { port, owner }.at(field));
            }
        }
        Ok(())
    }
}

/// The key of a node port, in the family of an address.
fn of_node(like: IpAddr, port: u16, protocol: Protocol) -> ServiceKey {
    ServiceKey::any_of_node(&Address::from(like), port.to_be(), protocol.number())
}

/// Whether a key is that of a node port.
#[must_use]
pub fn is_of_node(key: &ServiceKey) -> bool {
    IpAddr::from(key.address).is_unspecified()
}

impl Delta {
    /// What turns one part into another.
    #[must_use]
    pub fn between(before: &Resolved, after: &Resolved) -> Self {
        let (old, new) = (&before.entries, &after.entries);
        let differs = |(key, entry): &(&ServiceKey, &Entry)| old.get(*key) != Some(*entry);
        Self {
            put: new.iter().filter(differs).map(|(key, entry)| (*key, entry.clone())).collect(),
            added: new.keys().filter(|key| !old.contains_key(*key)).copied().collect(),
            remove: old.keys().filter(|key| !new.contains_key(*key)).copied().collect(),
            put_sources: after.sources.difference(&before.sources).copied().collect(),
            remove_sources: before.sources.difference(&after.sources).copied().collect(),
        }
    }

    /// Whether both were the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests;
