//! The return matrix: what the host's netfilter translates comes back through it, whoever asks and
//! whoever answers, and nobody's source is hidden who need not be.

mod iptables;
mod native;
mod nftables;
mod services;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};

use self::services::{
    CLUSTER, HOST_PORT, LOCAL, SERVICE_PORT, Services, cluster_ip, load_balancer, port_of,
};
use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, SERVICE},
    fabric::{Fabric, Plan, Pod, SEGMENTS},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, who},
    together::together,
};

/// By who translates, and with each kind of child on the first parent.
pub(super) fn scenarios() -> Vec<Scenario> {
    let matrix = |by: Netfilter, name: &str, swapped| {
        Scenario::own(format!("matrix::{}::{name}", by.name()), move |bench| {
            match by.left_out()? {
                Some(why) => Ok(Outcome::Ignored(why)),
                None => matrix(bench, by, swapped),
            }
        })
    };
    vec![
        matrix(Netfilter::Nftables, "ipvlan_first", false),
        matrix(Netfilter::Nftables, "macvlan_first", true),
        matrix(Netfilter::Iptables, "ipvlan_first", false),
        netpath("packets", "packet", [(5, 10), (6, 12)]),
        netpath("sockets", "auto", [(6, 1), (7, 3)]),
    ]
}

/// Without netfilter, in guests of two kernels.
fn netpath(name: &str, translate: &'static str, guests: [(u32, u32); 2]) -> Scenario {
    Scenario::own(format!("matrix::netpath::{name}"), move |bench| {
        for (major, minor) in [(5, 10), (6, 1), (6, 12), (7, 3)] {
            if kernel::is(major, minor)? && !guests.contains(&(major, minor)) {
                return Ok(Outcome::Ignored("it runs on two of the other kernels".to_owned()));
            }
        }
        native::matrix(bench, translate)
    })
}

/// How the Services are written, as the two proxies of Kubernetes do.
#[derive(Clone, Copy, Debug)]
enum Netfilter {
    /// Rules of nftables.
    Nftables,
    /// iptables, by the kernel's nftables.
    Iptables,
}

impl Netfilter {
    const fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    /// Why it is left out on this kernel, if it is: netfilter is the same on all, and the matrix long.
    fn left_out(self) -> Result<Option<String>> {
        let middle = kernel::is(6, 12)?;
        let ends = kernel::is(5, 10)? || kernel::is(7, 3)?;
        Ok(match self {
            Self::Nftables if ends || kernel::is(6, 1)? => Some("it runs on Linux 6.12".to_owned()),
            Self::Iptables if middle || kernel::is(6, 1)? => {
                Some("it runs on Linux 5.10 and 7.3".to_owned())
            }
            _ => None,
        })
    }

    fn set_up(self, node: &Namespace, services: &Services) -> Result<()> {
        match self {
            Self::Nftables => nftables::set_up(node, services),
            Self::Iptables => iptables::set_up(node, services),
        }
        .context("set up the Services")
    }

    /// Packets that conntrack could make nothing of.
    fn invalid(self, node: &Namespace) -> Result<u64> {
        match self {
            Self::Nftables => nftables::invalid(node),
            Self::Iptables => iptables::invalid(node),
        }
    }
}

/// Whom the backend should see.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// The asker.
    Asker,
    /// The node.
    Node,
}

struct Ask<'a> {
    what: String,
    from: (&'a str, &'a Namespace, Dual),
    to: Dual,
    port: u16,
    seen: Seen,
}

fn matrix(bench: &Bench, by: Netfilter, swapped: bool) -> Result<Outcome> {
    let fabric = Fabric::build(&bench.programs, Plan { swapped, ..Plan::default() })?;
    let node = &fabric.nodes[0].namespace;
    by.set_up(node, &Services::of(&fabric))?;
    lead_to_node(&fabric)?;
    let _servers = fabric.start_servers()?;
    let asks = questions(&fabric);
    let mut wrong = Vec::new();
    for some in asks.chunks(8) {
        wrong.extend(ask(&fabric, some)?);
    }
    eprintln!("matrix: {} questions, 2 families, 2 protocols, each twice", asks.len());
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    let invalid = by.invalid(node)?;
    ensure!(invalid == 0, "conntrack took {invalid} packets for invalid");
    Ok(Outcome::Passed)
}

fn questions(fabric: &Fabric) -> Vec<Ask<'_>> {
    let node = &fabric.nodes[0];
    let host = (node.name, &node.namespace, node.address);
    let remote = (fabric.remote.name, &fabric.remote.namespace, fabric.remote.address);
    let own: Vec<&Pod> = fabric.pods.iter().filter(|pod| pod.node == 0).collect();
    let mut asks = Vec::new();
    for (number, backend) in fabric.pods.iter().enumerate() {
        let mut ask = |what: &str, from, to, port, seen| {
            let what = format!("{what} of {}", backend.name);
            asks.push(Ask { what, from, to, port, seen });
        };
        let service = cluster_ip(number);
        for pod in &own {
            let from = (&*pod.name, &pod.namespace, pod.address);
            let hairpin = pod.name == backend.name;
            let seen = if hairpin { Seen::Node } else { Seen::Asker };
            ask("ClusterIP", from, service, SERVICE_PORT, seen);
        }
        ask("ClusterIP", host, service, SERVICE_PORT, Seen::Node);
        if backend.node != 0 {
            continue;
        }
        // By the backend's own parent: a strict source check takes what comes by another for
        // forged, for the way back to the asker leads by this one.
        let segment = backend.sort.segment;
        let address = fabric.address_of(0, segment);
        let port = |base| port_of(base, number);
        ask("NodePort Cluster", remote, address, port(CLUSTER), Seen::Node);
        ask("NodePort Local", remote, address, port(LOCAL), Seen::Asker);
        ask("hostPort", remote, address, port(HOST_PORT), Seen::Asker);
        let balancer = load_balancer(number, segment);
        ask("LoadBalancer Local", remote, balancer, SERVICE_PORT, Seen::Asker);
        for pod in own.iter().filter(|pod| pod.name != backend.name) {
            let from = (&*pod.name, &pod.namespace, pod.address);
            ask("hostPort", from, node.address, port(HOST_PORT), Seen::Asker);
        }
    }
    asks
}

/// Asks in both families by both protocols, twice: the second time on flows that the dataplane knows.
fn ask(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<Vec<String>> {
    let mut jobs = Vec::new();
    for ask in asks {
        for family in Family::BOTH {
            let protos = [Proto::Tcp, Proto::Udp];
            jobs.extend(protos.map(|proto| move || ask.twice(fabric, family, proto)));
        }
    }
    together(jobs)?.into_iter().filter_map(Result::transpose).collect()
}

impl Ask<'_> {
    fn twice(&self, fabric: &Fabric, family: Family, proto: Proto) -> Result<Option<String>> {
        let Self { what, from, to, port, seen } = self;
        let to = SocketAddr::new(to.of(family), *port);
        for round in ["first", "again"] {
            let found = who(from.1, to, proto, Patience::EXPECTED)?;
            let right = found.is_some_and(|found| match seen {
                Seen::Asker => found == from.2.of(family),
                Seen::Node => is_node(fabric, found),
            });
            if !right {
                let (from, proto) = (from.0, proto.name());
                let wrong = format!("{from} to {what}, {to} {proto}, {round}: seen as {found:?}");
                return Ok(Some(wrong));
            }
        }
        Ok(None)
    }
}

fn is_node(fabric: &Fabric, address: IpAddr) -> bool {
    let own = (0..SEGMENTS).map(|segment| fabric.address_of(0, segment));
    own.chain([SERVICE]).any(|own| Family::BOTH.iter().any(|family| own.of(*family) == address))
}

/// Leads the load balancer's addresses to the first node, by the segment that they name.
fn lead_to_node(fabric: &Fabric) -> Result<()> {
    for segment in 0..SEGMENTS {
        let (at, node) = (load_balancer(0, segment), fabric.address_of(0, segment));
        let [a, b, c, _] = at.v4.octets();
        let prefix6 = format!("fd00:b0:{segment}::/48");
        fabric.router.ip(&[
            format!("route add {a}.{b}.{c}.0/24 via {}", node.v4),
            format!("route add {prefix6} via {}", node.v6),
        ])?;
    }
    Ok(())
}
