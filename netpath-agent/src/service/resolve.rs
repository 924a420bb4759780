//! From a Service to the entries of the kernel's tables on this node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use netpath_common::{
    Address, ServiceKey,
    service::{FLAG_EXTERNAL, FLAG_HASHED, FLAG_RANGES},
};

use super::{
    Policy, PortSpec, Protocol, ServiceSpec,
    local::Locals,
    maglev,
    select::{Place, Reach, Standing, standings},
    table::{BackendKey, Entry},
};
use crate::config::Choice;

/// What the entries of a Service depend on beside itself.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Where this node is.
    pub place: Place<'a>,
    /// How backends are chosen for who asks at external addresses.
    pub choice: Choice,
    /// Backends of this node's own.
    pub locals: &'a Locals,
}

/// Frontends that share a number: clients of one stay with a backend that all of them lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The port of the Service.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The family.
    pub ipv6: bool,
    /// Whether they are for who is on the wire as well.
    pub external: bool,
}

/// The part that a Service has in the kernel's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// In `services`.
    pub entries: BTreeMap<ServiceKey, Entry>,
    /// In `service_sources`.
    pub sources: BTreeSet<(u32, IpNet)>,
}

type Backends = Arc<[BackendKey]>;

/// The runs of a port in a family.
struct Runs {
    cluster: Backends,
    inside: Backends,
    outside: Backends,
}

/// The entries of a Service. `number` gives the number of a group.
pub fn resolve(
    spec: &ServiceSpec,
    view: &View<'_>,
    mut number: impl FnMut(Group) -> u32,
) -> Resolved {
    let mut resolved = Resolved::default();
    if spec.is_headless() {
        return resolved;
    }
    for ipv6 in [false, true] {
        let own = |address: &IpAddr| address.is_ipv6() == ipv6;
        if !spec.addresses().any(|address| own(&address)) {
            continue;
        }
        let reached = |reach| standings(spec, view.place, reach, ipv6);
        let all = reached(Reach::Cluster);
        let local = [spec.internal_policy, spec.external_policy].contains(&Policy::Local);
        let here = if local { reached(Reach::Local) } else { Vec::new() };
        for port in &spec.ports {
            let runs = Runs::of(spec, view, port, ipv6, (&all, &here));
            let hashed = if view.choice == Choice::Maglev { FLAG_HASHED } else { 0 };
            let mut entry = |key: ServiceKey, flags: u32| {
                let (port, protocol) = (port.port, port.protocol);
                let external = flags & FLAG_EXTERNAL != 0;
                let id = number(Group { port, protocol, ipv6, external });
                if flags & FLAG_RANGES != 0 {
                    let of_family = |range: &&IpNet| range.addr().is_ipv6() == ipv6;
                    let ranges = spec.source_ranges.iter().filter(of_family);
                    resolved.sources.extend(ranges.map(|range| (id, *range)));
                }
                let (inside, outside) = if external {
                    (Arc::clone(&runs.inside), Arc::clone(&runs.outside))
                } else {
                    (Arc::clone(&runs.cluster), Arc::default())
                };
                let affinity = spec.affinity_seconds.unwrap_or(0);
                resolved.entries.insert(key, Entry { id, affinity, flags, inside, outside });
            };
            for address in spec.cluster_ips.iter().copied().filter(own) {
                entry(frontend(address, port), 0);
            }
            for address in spec.external_ips.iter().copied().filter(own) {
                entry(frontend(address, port), FLAG_EXTERNAL | hashed);
            }
            let ranges = if spec.source_ranges.is_empty() { 0 } else { FLAG_RANGES };
            for address in spec.load_balancer_ips.iter().copied().filter(own) {
                entry(frontend(address, port), FLAG_EXTERNAL | hashed | ranges);
            }
            // Those of the families that the cluster knows it in.
            if let Some(node_port) = port.node_port
                && let Some(like) = spec.cluster_ips.iter().copied().find(own)
            {
                let number = port.protocol.number();
                let key = ServiceKey::any_of_node(&like.into(), node_port.to_be(), number);
                entry(key, FLAG_EXTERNAL | hashed);
            }
        }
    }
    resolved
}

/// The key of a port at an address.
fn frontend(address: IpAddr, port: &PortSpec) -> ServiceKey {
    ServiceKey::new(address.into(), port.port.to_be(), port.protocol.number())
}

impl Runs {
    fn of(
        spec: &ServiceSpec,
        view: &View<'_>,
        port: &PortSpec,
        ipv6: bool,
        (all, here): (&[Standing], &[Standing]),
    ) -> Self {
        let cluster: Backends = backends(spec, port, ipv6, all).into();
        let local: Backends = backends(spec, port, ipv6, here).into();
        let pick = |policy| match policy {
            Policy::Cluster => Arc::clone(&cluster),
            Policy::Local => Arc::clone(&local),
        };
        let outside = pick(spec.external_policy);
        let host_local = view.locals.backends(spec, port, ipv6);
        let own = host_local.map_or_else(|| pick(spec.internal_policy), Into::into);
        if view.choice == Choice::Random {
            return Self { cluster: own, inside: cluster, outside };
        }
        let same = outside == cluster;
        let inside: Backends = maglev::table(&cluster).into();
        let outside = if same { Arc::clone(&inside) } else { maglev::table(&outside).into() };
        Self { cluster: own, inside, outside }
    }
}

/// The chosen endpoints as backends of a port: in the same order on every node, each once.
fn backends(
    spec: &ServiceSpec,
    port: &PortSpec,
    ipv6: bool,
    standings: &[Standing],
) -> Vec<BackendKey> {
    let chosen = spec.endpoints.iter().zip(standings);
    let chosen = chosen.filter(|(_, standing)| **standing == Standing::Chosen);
    let keys = chosen.filter_map(|(endpoint, _)| {
        Some(backend(endpoint.address(ipv6)?, port.target_of(endpoint)?, port.protocol))
    });
    keys.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The key of a backend, by its port in the order of this host.
#[must_use]
pub fn backend(address: IpAddr, port: u16, protocol: Protocol) -> BackendKey {
    let protocol = protocol.number().into();
    BackendKey { address: Address::from(address), port: port.to_be(), protocol }
}

#[cfg(test)]
mod tests;
