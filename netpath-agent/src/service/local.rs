//! Backends of this node's own, by configuration: host-local Services.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::{PortSpec, ServiceName, ServiceSpec, Target, resolve::backend, table::BackendKey};

/// A Service whose cluster IPs lead to backends on this node, such as a DNS cache, a log or a metrics
/// agent: processes of the node, or pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct LocalSpec {
    /// The Service, as namespace/name.
    pub service: ServiceName,
    /// Where they answer: an address and a port for the Service's port of this number, or an address
    /// for all its ports, each at the port that its backends have. A process lives while it is bound
    /// there, a pod while it is attached.
    pub addresses: Vec<LocalAddress>,
    /// Whether the cluster's backends are asked while none of these lives; if not, nobody is.
    #[serde(default = "yes")]
    pub fallback: bool,
}

const fn yes() -> bool {
    true
}

/// An address, or an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// What is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no address; write one as 169.254.20.10, 169.254.20.10:53 or [fd00::a]:53")]
pub struct BadAddress(String);

/// Why a host-local Service was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// Two sections for a Service.
    #[error("{name} is local_service[{first}] already; put all addresses into one section")]
    Twice {
        /// The Service.
        name: ServiceName,
        /// The index of the first section.
        first: usize,
    },
    /// No address.
    #[error("no address is given; write where the backends answer, such as \"169.254.20.10:53\"")]
    NoAddress,
    /// An address that pods can not reach.
    #[error(
        "{0} is no unicast address that pods reach; write another one of the node's or a pod's"
    )]
    Unreachable(IpAddr),
    /// No port.
    #[error("0 is no port; write one from 1 to 65535, or leave it out")]
    PortZero,
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Twice { .. } => "service",
            Self::NoAddress | Self::Unreachable(_) | Self::PortZero => "addresses",
        }
    }
}

/// Checks all of them. The error has the index of the one that is wrong.
pub fn check(specs: &[LocalSpec]) -> Result<(), (usize, Invalid)> {
    for (at, LocalSpec { service, addresses, fallback: _ }) in specs.iter().enumerate() {
        if let Some(first) = specs[..at].iter().position(|other| other.service == *service) {
            return Err((at, Invalid::Twice { name: service.clone(), first }));
        }
        if addresses.is_empty() {
            return Err((at, Invalid::NoAddress));
        }
        for LocalAddress { address, port } in addresses {
            if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
                return Err((at, Invalid::Unreachable(*address)));
            }
            if *port == Some(0) {
                return Err((at, Invalid::PortZero));
            }
        }
    }
    Ok(())
}

/// All host-local Services, and which of their backends live.
#[derive(Clone, Debug, Default)]
pub struct Locals {
    specs: Vec<LocalSpec>,
    alive: HashSet<BackendKey>,
}

impl Locals {
    /// Those of the configuration; nobody lives yet.
    #[must_use]
    pub fn new(specs: Vec<LocalSpec>) -> Self {
        Self { specs, alive: HashSet::new() }
    }

    /// The Services.
    #[must_use]
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceName> {
        self.specs.iter().map(|spec| &spec.service)
    }

    /// Whether a backend was found to live.
    #[must_use]
    pub fn is_alive(&self, backend: &BackendKey) -> bool {
        self.alive.contains(backend)
    }

    /// Notes whether a backend lives; tells whether that is news.
    pub fn set_alive(&mut self, backend: BackendKey, alive: bool) -> bool {
        if alive { self.alive.insert(backend) } else { self.alive.remove(&backend) }
    }

    /// Where all backends of a Service are, whether they live or not.
    #[must_use]
    pub fn candidates(&self, spec: &ServiceSpec) -> BTreeSet<BackendKey> {
        let Some(local) = self.of(spec) else { return BTreeSet::new() };
        let ports = spec.ports.iter();
        ports
            .flat_map(|port| [false, true].map(|ipv6| local.at(spec, port, ipv6)))
            .flatten()
            .collect()
    }

    /// Who answers at the cluster IPs of a family, if not the cluster's backends.
    #[must_use]
    pub fn backends(
        &self,
        spec: &ServiceSpec,
        port: &PortSpec,
        ipv6: bool,
    ) -> Option<Vec<BackendKey>> {
        let local = self.of(spec)?;
        let all = local.at(spec, port, ipv6);
        if all.is_empty() {
            return None;
        }
        let alive: Vec<_> = all.into_iter().filter(|backend| self.is_alive(backend)).collect();
        (!alive.is_empty() || !local.fallback).then_some(alive)
    }

    fn of(&self, spec: &ServiceSpec) -> Option<&LocalSpec> {
        self.specs.iter().find(|local| local.service == spec.name)
    }
}

impl LocalSpec {
    /// The backends for a port in a family.
    fn at(&self, spec: &ServiceSpec, port: &PortSpec, ipv6: bool) -> BTreeSet<BackendKey> {
        let of_family = self.addresses.iter().filter(|it| it.address.is_ipv6() == ipv6);
        let backends = of_family.filter_map(|LocalAddress { address, port: own }| {
            let number = match own {
                Some(number) => (*number == port.port).then_some(*number)?,
                None => target(spec, port)?,
            };
            Some(backend(*address, number, port.protocol))
        });
        backends.collect()
    }
}

/// The port that backends have; of a named one, that of the first endpoint which has it.
fn target(spec: &ServiceSpec, port: &PortSpec) -> Option<u16> {
    match &port.target {
        None => Some(port.port),
        Some(Target::Number(number)) => Some(*number),
        Some(Target::Name(_)) => spec.endpoints.iter().find_map(|it| port.target_of(it)),
    }
}

impl FromStr for LocalAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Ok(address) = text.parse() {
            return Ok(Self { address, port: None });
        }
        match text.parse::<SocketAddr>() {
            Ok(socket) => Ok(Self { address: socket.ip(), port: Some(socket.port()) }),
            Err(_) => Err(BadAddress(text.to_owned())),
        }
    }
}

impl TryFrom<String> for LocalAddress {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<LocalAddress> for String {
    fn from(address: LocalAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.address, port)),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests;
