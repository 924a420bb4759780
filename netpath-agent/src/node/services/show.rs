//! Answers about Services: what was asked for, where it leads, and why there.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use netpath_common::{
    ServiceKey,
    service::{FLAG_EXTERNAL, FLAG_HASHED},
};

use crate::{
    api::services::{BackendRow, Frontend, HostLocal, Service, ServiceDetail},
    node::{Error, Node},
    service::{
        BackendKey, Entry, Policy, Protocol, ServiceName, ServiceSpec,
        registry::Held,
        select::{Reach, Standing, standings},
    },
};

impl Node {
    /// All Services, by name.
    pub(in crate::node) fn list_services(&self) -> Vec<Service> {
        self.services.registry.iter().map(|held| Service::from(held.as_ref())).collect()
    }

    /// A Service and what it leads to.
    pub(in crate::node) fn show_service(&self, name: &ServiceName) -> Result<ServiceDetail, Error> {
        let held = self.services.registry.get(name);
        let held = held.ok_or_else(|| Error::NoService(name.clone()))?;
        let locals = &self.services.locals;
        let host_local = locals.candidates(&held.spec).into_iter().filter_map(|backend| {
            let protocol = Protocol::from_number(backend.protocol)?;
            Some(HostLocal { address: at(&backend), protocol, alive: locals.is_alive(&backend) })
        });
        Ok(ServiceDetail {
            service: Service::from(held.as_ref()),
            frontends: frontends(held),
            backends: self.backends(&held.spec),
            host_local: host_local.collect(),
        })
    }

    /// Every address of every endpoint, and how it stands.
    fn backends(&self, spec: &ServiceSpec) -> Vec<BackendRow> {
        let place = self.services.place();
        let reach = |policy| match policy {
            Policy::Cluster => Reach::Cluster,
            Policy::Local => Reach::Local,
        };
        let mut rows = Vec::new();
        for ipv6 in [false, true] {
            let stand = |reach| standings(spec, place, reach, ipv6);
            let mut cluster = stand(reach(spec.internal_policy));
            let (inside, outside) = (stand(Reach::Cluster), stand(reach(spec.external_policy)));
            let replaced = |port| self.services.locals.backends(spec, port, ipv6).is_some();
            if !spec.ports.is_empty() && spec.ports.iter().all(replaced) {
                for standing in cluster.iter_mut().filter(|it| **it == Standing::Chosen) {
                    *standing = Standing::HostLocal;
                }
            }
            let is = |all: &[Standing], at: usize| all[at].name().to_owned();
            let external = spec.is_external();
            for (at, endpoint) in spec.endpoints.iter().enumerate() {
                let Some(address) = endpoint.address(ipv6) else { continue };
                rows.push(BackendRow {
                    address,
                    node: endpoint.node.clone(),
                    zone: endpoint.zone.clone(),
                    cluster: is(&cluster, at),
                    inside: external.then(|| is(&inside, at)),
                    outside: external.then(|| is(&outside, at)),
                });
            }
        }
        rows
    }
}

fn frontends(held: &Held) -> Vec<Frontend> {
    let entries = held.resolved.entries.iter();
    entries.filter_map(|(key, entry)| frontend(&held.spec, key, entry)).collect()
}

fn frontend(spec: &ServiceSpec, key: &ServiceKey, entry: &Entry) -> Option<Frontend> {
    let Entry { id, affinity: _, flags, inside, outside } = entry;
    let address = IpAddr::from(key.address);
    let kind = if spec.cluster_ips.contains(&address) {
        "cluster-ip"
    } else if spec.external_ips.contains(&address) {
        "external-ip"
    } else if spec.load_balancer_ips.contains(&address) {
        "load-balancer"
    } else {
        "node-port"
    };
    // A table of Maglev has each many times.
    let each =
        |run: &[BackendKey]| run.iter().map(at).collect::<BTreeSet<_>>().into_iter().collect();
    Some(Frontend {
        kind: kind.to_owned(),
        address,
        port: u16::from_be(key.port),
        protocol: Protocol::from_number(key.protocol)?,
        id: *id,
        choice: if flags & FLAG_HASHED == 0 { "random" } else { "maglev" }.to_owned(),
        inside: each(inside),
        outside: (flags & FLAG_EXTERNAL != 0).then(|| each(outside)),
    })
}

fn at(backend: &BackendKey) -> SocketAddr {
    SocketAddr::new(backend.address.into(), u16::from_be(backend.port))
}
