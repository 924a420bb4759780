//! What can be wrong with a Service, by itself and beside others.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::{PortSpec, Protocol, ServiceEndpoint, ServiceName, ServiceSpec, Target};
use crate::name::EndpointName;

/// The longest affinity, in seconds: a day, as Kubernetes has it.
const AFFINITY_MAX: u32 = 86_400;

/// Why a Service was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field's path, such as `ports[1].node_port` (counted from 0).
    pub field: String,
    /// What was found, what was expected, what to do.
    pub problem: Problem,
}

/// What is wrong with a field of a Service.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// A second Service of the same list with a name.
    #[error("{name} is in this list already, at [{first}]; remove one of the two")]
    NameTwice {
        /// The name.
        name: ServiceName,
        /// The index of the first.
        first: usize,
    },
    /// No port to ask at.
    #[error("a Service with addresses has at least one port; add one")]
    NoPorts,
    /// What a headless Service can not have.
    #[error(
        "a Service without cluster_ips is headless and has none; add a cluster IP, or remove it"
    )]
    Headless,
    /// A second address of a family.
    #[error("{0} is the second address of its family; write one")]
    SecondOfFamily(IpAddr),
    /// An address that is given twice.
    #[error("{0} is an address of this Service already; remove one of the two")]
    AddressTwice(IpAddr),
    /// An address that nobody can be reached at.
    #[error("{0} is {1}; write a unicast address that others can reach")]
    Unreachable(IpAddr, &'static str),
    /// IPv4 written as IPv6.
    #[error("{0} is IPv4 in IPv6's mapped form; write it as IPv4")]
    Mapped(IpAddr),
    /// A backend that no client's packets can be sent to.
    #[error(
        "{address} is {family}, which no address of the Service is; give the Service one, or remove it"
    )]
    BackendFamily {
        /// The backend's address.
        address: IpAddr,
        /// Its family.
        family: &'static str,
    },
    /// An endpoint that is nowhere.
    #[error("an endpoint has at least one address; write one a family")]
    NoAddress,
    /// No port.
    #[error("0 is no port; write one from 1 to 65535")]
    PortZero,
    /// Two ports that clients can not tell apart.
    #[error("{port}/{protocol} is ports[{first}] already; remove one of the two")]
    PortTwice {
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// The index of the first.
        first: usize,
    },
    /// Two ports with a name.
    #[error("{name:?} is what ports[{first}] is called; choose another name")]
    PortNameTwice {
        /// The name.
        name: String,
        /// The index of the first.
        first: usize,
    },
    /// A name that says nothing.
    #[error("the name is empty; write one, or leave it out")]
    NoName,
    /// A named target that an endpoint does not have.
    #[error("endpoint {endpoint} has no port {name:?}; add it to the endpoint's ports")]
    UnknownTarget {
        /// The endpoint's first address.
        endpoint: IpAddr,
        /// The target.
        name: String,
    },
    /// SCTP's checksum covers the ports and can not be corrected on the way.
    #[error(
        "SCTP to {target} instead of {port} can not be translated; write the same port for both"
    )]
    SctpTarget {
        /// The port that clients know.
        port: u16,
        /// The backend's.
        target: u16,
    },
    /// A prefix that is an address inside itself.
    #[error("{0} has bits set behind its length; write {trunc}", trunc = .0.trunc())]
    HostBits(IpNet),
    /// Affinity for no time, or for too long.
    #[error("{0} is out of range; write 1 to {AFFINITY_MAX} seconds, or leave it out")]
    Affinity(u32),
    /// A node port on the port of the Service's own health check.
    #[error("{0} is its health_check_port as well; choose another")]
    NodePortIsHealth(u16),
    /// An address and port of another Service.
    #[error("{address} port {port}/{protocol} is taken by Service {owner}; choose another")]
    FrontendTaken {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// Who has it.
        owner: ServiceName,
    },
    /// A node port of another Service.
    #[error("node port {port}/{protocol} is taken by Service {owner}; choose another")]
    NodePortTaken {
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// Who has it.
        owner: ServiceName,
    },
    /// A port that another Service's health check is on.
    #[error("{port} is the health_check_port of Service {owner}; choose another")]
    HealthPortTaken {
        /// The port.
        port: u16,
        /// Who has it.
        owner: ServiceName,
    },
    /// A health check on a node port.
    #[error("{port} is a node port of Service {owner}; choose another")]
    HealthPortIsNodePort {
        /// The port.
        port: u16,
        /// Who has it.
        owner: ServiceName,
    },
    /// An address that is a pod's.
    #[error("{address} is endpoint {owner}'s on this node; choose another")]
    AddressIsEndpoint {
        /// The address.
        address: IpAddr,
        /// Who has it.
        owner: EndpointName,
    },
}

impl Problem {
    /// Says which field it is about.
    pub(super) fn at(self, field: impl Into<String>) -> Invalid {
        Invalid { field: field.into(), problem: self }
    }

    /// Whether it is about what others have.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::FrontendTaken { .. }
                | Self::NodePortTaken { .. }
                | Self::HealthPortTaken { .. }
                | Self::HealthPortIsNodePort { .. }
                | Self::AddressIsEndpoint { .. }
        )
    }
}

type Checked = Result<(), Invalid>;

impl ServiceSpec {
    /// Checks what can be checked without the node and other Services.
    pub fn check(&self) -> Result<(), Invalid> {
        let Self {
            name: _,
            cluster_ips,
            external_ips,
            load_balancer_ips,
            source_ranges,
            ports,
            affinity_seconds,
            internal_policy: _,
            external_policy: _,
            health_check_port,
            publish_not_ready: _,
            endpoints,
        } = self;
        one_a_family("cluster_ips", cluster_ips)?;
        let lists = [
            ("cluster_ips", cluster_ips),
            ("external_ips", external_ips),
            ("load_balancer_ips", load_balancer_ips),
        ];
        let mut seen = Vec::new();
        for (list, addresses) in lists {
            if self.is_headless() && !addresses.is_empty() {
                return Err(Problem::Headless.at(list));
            }
            for (at, address) in addresses.iter().enumerate() {
                reachable(*address).map_err(|problem| problem.at(format!("{list}[{at}]")))?;
                if seen.contains(address) {
                    return Err(Problem::AddressTwice(*address).at(format!("{list}[{at}]")));
                }
                seen.push(*address);
            }
        }
        if let Some(at) = source_ranges.iter().position(|range| *range != range.trunc()) {
            return Err(Problem::HostBits(source_ranges[at]).at(format!("source_ranges[{at}]")));
        }
        match affinity_seconds {
            Some(seconds) if !matches!(*seconds, 1..=AFFINITY_MAX) => {
                return Err(Problem::Affinity(*seconds).at("affinity_seconds"));
            }
            _ => {}
        }
        match health_check_port {
            Some(0) => return Err(Problem::PortZero.at("health_check_port")),
            Some(_) if self.is_headless() => return Err(Problem::Headless.at("health_check_port")),
            _ => {}
        }
        if ports.is_empty() && !self.is_headless() {
            return Err(Problem::NoPorts.at("ports"));
        }
        self.check_ports()?;
        endpoints.iter().enumerate().try_for_each(|(at, it)| self.check_endpoint(at, it))
    }

    fn check_ports(&self) -> Checked {
        let (mut ports, mut names, mut nodes) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (at, spec) in self.ports.iter().enumerate() {
            let PortSpec { name, protocol, port, target, node_port } = spec;
            let field = |name: &str| format!("ports[{at}].{name}");
            if *port == 0 {
                return Err(Problem::PortZero.at(field("port")));
            }
            let twice = |port, first| Problem::PortTwice { port, protocol: *protocol, first };
            if let Some(first) = ports.insert((port, protocol), at) {
                return Err(twice(*port, first).at(field("port")));
            }
            if let Some(name) = name {
                if name.is_empty() {
                    return Err(Problem::NoName.at(field("name")));
                }
                if let Some(first) = names.insert(name, at) {
                    let problem = Problem::PortNameTwice { name: name.clone(), first };
                    return Err(problem.at(field("name")));
                }
            }
            match target {
                Some(Target::Number(0)) => return Err(Problem::PortZero.at(field("target"))),
                Some(Target::Name(name)) if name.is_empty() => {
                    return Err(Problem::NoName.at(field("target")));
                }
                Some(Target::Number(target)) => {
                    same_sctp(spec, *target).map_err(|problem| problem.at(field("target")))?;
                }
                _ => {}
            }
            let Some(node_port) = *node_port else { continue };
            if node_port == 0 {
                return Err(Problem::PortZero.at(field("node_port")));
            }
            if self.is_headless() {
                return Err(Problem::Headless.at(field("node_port")));
            }
            same_sctp(spec, node_port).map_err(|problem| problem.at(field("node_port")))?;
            if let Some(first) = nodes.insert((node_port, protocol), at) {
                return Err(twice(node_port, first).at(field("node_port")));
            }
            if *protocol == Protocol::Tcp && self.health_check_port == Some(node_port) {
                return Err(Problem::NodePortIsHealth(node_port).at(field("node_port")));
            }
        }
        Ok(())
    }

    fn check_endpoint(&self, at: usize, endpoint: &ServiceEndpoint) -> Checked {
        let field = format!("endpoints[{at}].addresses");
        if endpoint.addresses.is_empty() {
            return Err(Problem::NoAddress.at(field));
        }
        one_a_family(&field, &endpoint.addresses)?;
        for (index, address) in endpoint.addresses.iter().enumerate() {
            let field = format!("{field}[{index}]");
            if let Err(problem) = reachable(*address) {
                return Err(problem.at(field));
            }
            let same = |own: IpAddr| own.is_ipv6() == address.is_ipv6();
            if !self.is_headless() && !self.addresses().any(same) {
                let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
                return Err(Problem::BackendFamily { address: *address, family }.at(field));
            }
        }
        let field = format!("endpoints[{at}].ports");
        if let Some((name, _)) = endpoint.ports.iter().find(|(_, number)| **number == 0) {
            return Err(Problem::PortZero.at(format!("{field}.{name}")));
        }
        for port in &self.ports {
            if let (Some(Target::Name(name)), Some(target)) =
                (&port.target, port.target_of(endpoint))
            {
                same_sctp(port, target).map_err(|problem| problem.at(format!("{field}.{name}")))?;
            }
        }
        Ok(())
    }

    /// Checks that every endpoint has all named ports, as people mean it. In a cluster, an endpoint that
    /// has some of them answers at those.
    pub fn check_targets(&self) -> Result<(), Invalid> {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            for port in &self.ports {
                let (Some(Target::Name(name)), None) = (&port.target, port.target_of(endpoint))
                else {
                    continue;
                };
                let (endpoint, name) = (endpoint.addresses[0], name.clone());
                let problem = Problem::UnknownTarget { endpoint, name };
                return Err(problem.at(format!("endpoints[{at}].ports")));
            }
        }
        Ok(())
    }
}

fn one_a_family(field: &str, addresses: &[IpAddr]) -> Checked {
    for (at, address) in addresses.iter().enumerate() {
        if addresses[..at].iter().any(|other| other.is_ipv6() == address.is_ipv6()) {
            return Err(Problem::SecondOfFamily(*address).at(format!("{field}[{at}]")));
        }
    }
    Ok(())
}

/// Whether somebody can be reached at an address from another host.
fn reachable(address: IpAddr) -> Result<(), Problem> {
    let kind = match address {
        _ if address.is_unspecified() => "unspecified",
        _ if address.is_multicast() => "multicast",
        _ if address.is_loopback() => "a loopback address",
        IpAddr::V4(v4) if v4.is_broadcast() => "broadcast",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => return Err(Problem::Mapped(address)),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        _ => return Ok(()),
    };
    Err(Problem::Unreachable(address, kind))
}

const fn same_sctp(spec: &PortSpec, target: u16) -> Result<(), Problem> {
    let port = spec.port;
    if matches!(spec.protocol, Protocol::Sctp) && target != port {
        return Err(Problem::SctpTarget { port, target });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
