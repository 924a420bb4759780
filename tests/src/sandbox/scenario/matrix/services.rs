//! The first node's Services, as kube-proxy and the port mapping plugin know them: source NAT only for
//! `CLUSTER` ports, and for who calls himself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::sandbox::{
    address::{Dual, Family},
    fabric::{Fabric, SEGMENTS},
    server::ECHO_PORT,
};

/// Ports on the node, to which a backend's number is added: by SNAT, and without.
pub(super) const CLUSTER: u16 = 30_000;
pub(super) const LOCAL: u16 = 31_000;
pub(super) const HOST_PORT: u16 = 32_000;
pub(super) const SERVICE_PORT: u16 = 80;

/// What kube-proxy marks packets with that are to be masqueraded.
pub(super) const MASQUERADE: u32 = 0x4000;

/// A port on the node that leads to a backend.
pub(super) fn port_of(base: u16, backend: usize) -> u16 {
    base + u16::from(narrow(backend))
}

/// Addresses that only netfilter knows: a Service's, and a load balancer's that leads to the node by a
/// segment.
pub(super) fn cluster_ip(backend: usize) -> Dual {
    let number = narrow(backend) + 10;
    Dual {
        v4: Ipv4Addr::new(10, 96, 0, number),
        v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number.into()),
    }
}

pub(super) fn load_balancer(backend: usize, segment: usize) -> Dual {
    let (number, third) = (narrow(backend) + 10, narrow(segment));
    Dual {
        v4: Ipv4Addr::new(203, 0, third, number),
        v6: Ipv6Addr::new(0xfd00, 0xb0, third.into(), 0, 0, 0, 0, number.into()),
    }
}

fn narrow(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// What is translated, in one family.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) family: Family,
    /// `tcp` or `udp`.
    pub(super) proto: &'static str,
    /// The address; any of the node's own without one.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) backend: SocketAddr,
    /// The backend is to see the node.
    pub(super) masquerade: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) translations: Vec<Translation>,
    /// Backends that may call themselves.
    pub(super) backends: Vec<IpAddr>,
}

impl Services {
    /// Those of every pod on a fabric.
    pub(super) fn of(fabric: &Fabric) -> Self {
        let mut services = Self::default();
        for (number, pod) in fabric.pods.iter().enumerate() {
            for family in Family::BOTH {
                let own = pod.address.of(family);
                services.backends.push(own);
                let backend = SocketAddr::new(own, ECHO_PORT);
                let balancers = (0..SEGMENTS).map(|segment| load_balancer(number, segment));
                let by_address = balancers
                    .chain([cluster_ip(number)])
                    .map(|address| (Some(address.of(family)), SERVICE_PORT, false));
                // Ports of the node for its own pods.
                let bases = [(CLUSTER, true), (LOCAL, false), (HOST_PORT, false)];
                let by_port = bases
                    .into_iter()
                    .filter(|_| pod.node == 0)
                    .map(|(base, masquerade)| (None, port_of(base, number), masquerade));
                for (address, port, masquerade) in by_address.chain(by_port) {
                    services.translations.extend(["tcp", "udp"].map(|proto| Translation {
                        family,
                        proto,
                        address,
                        port,
                        backend,
                        masquerade,
                    }));
                }
            }
        }
        services
    }
}
