//! Services of the node: who asks for them, and what follows in the kernel's tables.
//!
//! | file | part |
//! | --- | --- |
//! | `apply` | what is asked for at runtime |
//! | `file` | what the file says |
//! | `cluster` | what Kubernetes says |
//! | `follow` | whole lists, and what changed of them |
//! | `tables` | the kernel's tables: changes, and whether they are what they should be |
//! | `local` | whether host-local backends live |
//! | `show` | answers |

mod apply;
mod cluster;
mod file;
mod follow;
mod local;
mod show;
mod tables;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub(super) use self::{
    apply::{apply, put_endpoints, remove},
    cluster::watch_cluster,
    file::watch_file,
    local::watch_locals,
};
use self::{cluster::Cluster, file::Watched};
use super::{Error, Node};
use crate::{
    config::{self, Config},
    error::chain,
    service::{
        PortSpec, Protocol, ServiceName, ServiceSpec,
        bound::Bound,
        health::{Health, HealthChecks},
        local::Locals,
        registry::{Held, Origin, Outcome, Registry},
        resolve::View,
        select::Place,
    },
};

/// The node's Services.
#[derive(Debug)]
pub(super) struct Services {
    registry: Registry,
    locals: Locals,
    health: HealthChecks,
    /// What this node is called in Services.
    node: String,
    /// The zone that it is in, if it is known.
    zone: Option<String>,
    /// Services that were asked for and are not there as they should be, by whom, and why.
    refused: BTreeMap<String, (Origin, String)>,
    file: Watched,
    cluster: Cluster,
}

impl Services {
    /// None yet.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let named = config.node_name().map(str::to_owned);
        Ok(Self {
            registry: Registry::default(),
            locals: Locals::new(config.local_services.clone()),
            health: HealthChecks::default(),
            node: named.map_or_else(host_name, Ok)?,
            zone: config.services.zone.clone(),
            refused: BTreeMap::new(),
            file: Watched::new(config),
            cluster: Cluster::default(),
        })
    }

    /// What this node is called.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.registry.len()
    }

    /// How many of their addresses and ports are translated.
    pub(super) fn entry_count(&self) -> usize {
        self.registry.entry_count()
    }

    /// The cluster's address of a Service in a family, and its port of that number or name.
    pub(super) fn frontend(&self, name: &str, port: &str, ipv6: bool) -> Option<SocketAddr> {
        let spec = &self.registry.get(&name.parse().ok()?)?.spec;
        let address = spec.cluster_ips.iter().find(|address| address.is_ipv6() == ipv6)?;
        let is_meant = |known: &&PortSpec| {
            known.port.to_string() == port || known.name.as_deref() == Some(port)
        };
        let port = spec.ports.iter().find(is_meant)?.port;
        Some(SocketAddr::new(*address, port))
    }

    /// Notes that a Service is not there as it should be.
    fn refuse(&mut self, name: &str, origin: Origin, why: String) {
        tracing::warn!(service = name, why, "the Service is refused");
        self.refused.insert(name.to_owned(), (origin, why));
    }

    /// It is there, or nobody asks for it any more.
    fn unrefuse(&mut self, name: &str, origin: Origin) {
        if self.refused.get(name).is_some_and(|(by, _)| *by == origin) {
            self.refused.remove(name);
        }
    }

    /// The Services, and what their entries depend on.
    fn parts<'a>(&'a mut self, config: &'a config::Services) -> (&'a mut Registry, View<'a>) {
        let Self { registry, locals, node, zone, .. } = self;
        let place = Place { node, zone: zone.as_deref() };
        (registry, View { place, choice: config.choice, locals })
    }

    /// Where this node is.
    fn place(&self) -> Place<'_> {
        Place { node: &self.node, zone: self.zone.as_deref() }
    }
}

/// What the host is called.
fn host_name() -> Result<String, Error> {
    let name = nix::sys::utsname::uname().map_err(|errno| Error::Io {
        action: "ask for the host's name; write services.node",
        source: errno.into(),
    })?;
    Ok(name.nodename().to_string_lossy().into_owned())
}

impl Node {
    /// Takes a Service in, in place of the one with the same name. If the tables have no room for it,
    /// everything is as before.
    fn put_service(&mut self, spec: ServiceSpec, origin: Origin) -> Result<Outcome, Error> {
        let name = spec.name.clone();
        let before = self.services.registry.get(&name).cloned();
        if let Some(held) = before.as_ref().filter(|held| held.origin > origin) {
            return Err(Error::ServiceConfigured { name, origin: held.origin });
        }
        if before.is_none() {
            self.find_alive(&spec);
        }
        let (registry, view) = self.services.parts(&self.config.services);
        let holder = |address: IpAddr| self.state.owner(address).cloned();
        let (outcome, delta) = registry.put(spec, origin, &view, holder).map_err(|invalid| {
            let (name, invalid) = (name.clone(), Box::new(invalid));
            Error::Service { name, invalid }
        })?;
        if let Err(error) = self.write_services(&delta) {
            let (registry, view) = self.services.parts(&self.config.services);
            let back = registry.restore(&name, before.as_deref(), &view);
            if let Err(error) = self.write_services(&back) {
                tracing::error!(service = %name, error = chain(&error), "half of it is in the tables");
            }
            return Err(error);
        }
        self.services.refused.remove(name.as_str());
        self.answer_health(&name, before.as_deref());
        Ok(outcome)
    }

    /// Has a Service follow what its entries depend on.
    fn refresh_service(&mut self, name: &ServiceName) {
        let (registry, view) = self.services.parts(&self.config.services);
        let delta = registry.refresh(name, &view);
        if let Err(error) = self.write_services(&delta) {
            let error = chain(&error);
            tracing::error!(service = %name, error, "it does not follow; it will be mended");
        }
    }

    /// Lets a Service go.
    fn remove_service(&mut self, name: &ServiceName) -> Result<Option<Arc<Held>>, Error> {
        let Some((held, delta)) = self.services.registry.remove(name) else { return Ok(None) };
        self.answer_health(name, Some(&held));
        self.write_services(&delta)?;
        Ok(Some(held))
    }

    /// Has load balancers learn of a change of a Service.
    fn answer_health(&mut self, name: &ServiceName, before: Option<&Held>) {
        if self.config.services.mode != config::Mode::Native {
            return;
        }
        let Services { registry, health, node, .. } = &mut self.services;
        let now = registry.get(name);
        let port = now.and_then(|held| held.spec.health_check_port);
        match before.and_then(|held| held.spec.health_check_port) {
            Some(old) if Some(old) != port => health.remove(old),
            _ => {}
        }
        if let (Some(port), Some(held)) = (port, now) {
            health.put(port, Health { service: name.clone(), local: held.spec.ready_on(node) });
        }
    }

    /// Tries again to answer at ports that others had.
    pub(super) fn mend_health(&mut self) {
        if self.config.services.mode == config::Mode::Native {
            let Services { registry, health, node, .. } = &mut self.services;
            let wanted = registry.health_checks().map(|(port, held)| {
                let (service, local) = (held.spec.name.clone(), held.spec.ready_on(node));
                (port, Health { service, local })
            });
            health.set(&wanted.collect());
        }
    }

    /// What the operator should know of Services.
    pub(super) fn service_warnings(&self) -> Vec<String> {
        let Services { registry, health, refused, file, cluster, .. } = &self.services;
        let problems = file.problem().map(str::to_owned).into_iter().chain(cluster.problem());
        let mut warnings: Vec<_> = problems.collect();
        let refused =
            refused.iter().map(|(name, (_, why))| format!("service {name} is refused: {why}"));
        warnings.extend(refused);
        if self.config.services.mode != config::Mode::Native {
            if !registry.is_empty() {
                let count = registry.len();
                warnings.push(format!(
                    "{count} Services are known, and services.mode says that netpath does not translate them"
                ));
            }
            return warnings;
        }
        for (port, why) in health.failed() {
            warnings.push(format!("health check port {port} is not answered: {why}"));
        }
        if let Ok(bound) = Bound::read() {
            warnings.extend(self.taken_ports(&bound).into_iter().map(|(_, text)| text));
        }
        warnings
    }

    /// Node ports that processes of the node are bound to, by Service.
    fn taken_ports(&self, bound: &Bound) -> Vec<(ServiceName, String)> {
        let ports = bound.ports();
        let node_ports = self.services.registry.node_ports();
        let taken = node_ports.filter(|(port, protocol, _)| ports.contains(&(*protocol, *port)));
        let text = |(port, protocol, name): (u16, Protocol, &ServiceName)| {
            let text = format!(
                "node port {port}/{protocol} of service {name}: a process of the node is bound to it, \
                 and does not get what is sent there; choose another"
            );
            (name.clone(), text)
        };
        taken.map(text).collect()
    }
}
