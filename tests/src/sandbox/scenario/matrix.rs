//! The return matrix: what the host's netfilter translates comes back through it, whoever asks and
//! whoever answers, and nobody's source is hidden who need not be.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, SERVICE},
    command,
    fabric::{Fabric, Plan, Pod, SEGMENTS},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, who},
    server::ECHO_PORT,
};

/// With each kind of child on the first parent.
pub(super) fn scenarios() -> Vec<Scenario> {
    let matrix = |name: &str, swapped| {
        Scenario::own(format!("matrix::nftables::{name}"), move |bench| {
            // Guests of 5.10 have no counters of nftables; netfilter is the same on the others.
            if kernel::is(5, 10)? || kernel::is(6, 1)? || kernel::is(7, 3)? {
                return Ok(Outcome::Ignored("it runs on Linux 6.12".to_owned()));
            }
            matrix(bench, swapped)
        })
    };
    vec![matrix("ipvlan_first", false), matrix("macvlan_first", true)]
}

/// Ports on the node, to which a backend's number is added: by SNAT, and without.
const CLUSTER: u16 = 30_000;
const LOCAL: u16 = 31_000;
const HOST_PORT: u16 = 32_000;
const SERVICE_PORT: u16 = 80;

/// What kube-proxy marks packets with that are to be masqueraded.
const MASQUERADE: u32 = 0x4000;

/// Addresses that only netfilter knows: a Service's, and a load balancer's that leads to the node by a
/// segment.
fn cluster_ip(backend: usize) -> Dual {
    let number = narrow(backend) + 10;
    Dual {
        v4: Ipv4Addr::new(10, 96, 0, number),
        v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number.into()),
    }
}

fn load_balancer(backend: usize, segment: usize) -> Dual {
    let (number, third) = (narrow(backend) + 10, narrow(segment));
    Dual {
        v4: Ipv4Addr::new(203, 0, third, number),
        v6: Ipv6Addr::new(0xfd00, 0xb0, third.into(), 0, 0, 0, 0, number.into()),
    }
}

fn narrow(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
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

fn matrix(bench: &Bench, swapped: bool) -> Result<Outcome> {
    let fabric = Fabric::build(&bench.programs, Plan { attach: "auto", swapped, all: false })?;
    translate(&fabric)?;
    lead_to_node(&fabric)?;
    let _servers = fabric.start_servers()?;
    let asks = questions(&fabric);
    let mut wrong = Vec::new();
    for some in asks.chunks(8) {
        wrong.extend(ask(&fabric, some)?);
    }
    eprintln!("matrix: {} questions, 2 families, 2 protocols, each twice", asks.len());
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    let invalid = invalid(&fabric)?;
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
        let port = |base: u16| base + u16::from(narrow(number));
        ask("NodePort Cluster", remote, address, port(CLUSTER), Seen::Node);
        ask("NodePort Local", remote, address, port(LOCAL), Seen::Asker);
        ask("hostPort", remote, address, port(HOST_PORT), Seen::Asker);
        let balancer = load_balancer(number, segment);
        ask("LoadBalancer Local", remote, balancer, SERVICE_PORT, Seen::Asker);
        for pod in own.iter().filter(|pod| pod.name != backend.name) {
            let from = (&*pod.name, &pod.namespace, pod.address);
            let port = HOST_PORT + u16::from(narrow(number));
            ask("hostPort", from, node.address, port, Seen::Asker);
        }
    }
    asks
}

/// Asks in both families by both protocols, twice: the second time on flows that the dataplane knows.
fn ask(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let mut running = Vec::new();
        for Ask { what, from, to, port, seen } in asks {
            for family in Family::BOTH {
                for proto in [Proto::Tcp, Proto::Udp] {
                    running.push(scope.spawn(move || {
                        let to = SocketAddr::new(to.of(family), *port);
                        for round in ["first", "again"] {
                            let found = who(from.1, to, proto, Patience::EXPECTED)?;
                            let right = found.is_some_and(|found| match seen {
                                Seen::Asker => found == from.2.of(family),
                                Seen::Node => is_node(fabric, found),
                            });
                            if !right {
                                let proto = proto.name();
                                return Ok(Some(format!(
                                    "{} to {what}, {to} {proto}, {round}: seen as {found:?}",
                                    from.0
                                )));
                            }
                        }
                        Ok(None)
                    }));
                }
            }
        }
        let mut wrong = Vec::new();
        for one in running {
            let outcome: Result<Option<String>> =
                one.join().map_err(|_| anyhow!("a probe panicked"))?;
            wrong.extend(outcome?);
        }
        Ok(wrong)
    })
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

/// The first node's Services, as kube-proxy and the port mapping plugin set them up: source NAT only
/// for `CLUSTER` ports, and for who calls himself. Packets that conntrack can make nothing of are
/// counted and dropped; of what the node sends, redirects of IPv6 are always such.
fn translate(fabric: &Fabric) -> Result<()> {
    let mut destination = String::new();
    let mut source = String::new();
    let local = "fib daddr type local";
    for (number, pod) in fabric.pods.iter().enumerate() {
        let service = cluster_ip(number);
        for family in Family::BOTH {
            let ip = if family == Family::Ipv4 { "ip" } else { "ip6" };
            let own = pod.address.of(family);
            let backend = SocketAddr::new(own, ECHO_PORT);
            let balancers = (0..SEGMENTS).map(|segment| load_balancer(number, segment).of(family));
            let addresses: Vec<_> =
                balancers.chain([service.of(family)]).map(|address| address.to_string()).collect();
            for proto in ["tcp", "udp"] {
                let to = format!("dnat {ip} to {backend}");
                writeln!(
                    destination,
                    "{ip} daddr {{ {} }} {proto} dport {SERVICE_PORT} {to}",
                    addresses.join(", ")
                )?;
                if pod.node != 0 {
                    continue;
                }
                let number = u16::from(narrow(number));
                let port = |base: u16| format!("{local} {proto} dport {}", base + number);
                let version = if family == Family::Ipv4 { "ipv4" } else { "ipv6" };
                let only = format!("meta nfproto {version}");
                writeln!(destination, "{only} {} meta mark set {MASQUERADE} {to}", port(CLUSTER))?;
                writeln!(destination, "{only} {} {to}", port(LOCAL))?;
                writeln!(destination, "{only} {} {to}", port(HOST_PORT))?;
            }
            writeln!(source, "{ip} saddr {own} {ip} daddr {own} ct status dnat masquerade")?;
        }
    }
    let rules = format!(
        "table inet kube {{
            counter invalid {{ }}
            chain prerouting {{ type nat hook prerouting priority dstnat;\n{destination}\n}}
            chain output {{ type nat hook output priority -100;\n{destination}\n}}
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                meta mark and {MASQUERADE} == {MASQUERADE} masquerade
                {source}
            }}
            chain input {{
                type filter hook input priority filter;
                ct state invalid counter name invalid drop
            }}
            chain forward {{
                type filter hook forward priority filter;
                ct state invalid counter name invalid drop
            }}
            chain sent {{
                type filter hook output priority filter;
                meta l4proto {{ tcp, udp }} ct state invalid counter name invalid drop
            }}
        }}\n"
    );
    let mut nft = fabric.nodes[0].namespace.command("nft");
    command::run_with_input(nft.args(["-f", "-"]), &rules).context("set up the Services")?;
    Ok(())
}

/// Packets that conntrack could make nothing of.
fn invalid(fabric: &Fabric) -> Result<u64> {
    let mut nft = fabric.nodes[0].namespace.command("nft");
    let text = command::run(nft.args(["-j", "list", "counter", "inet", "kube", "invalid"]))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let items = value["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    match items.iter().find_map(|item| item["counter"]["packets"].as_u64()) {
        Some(packets) => Ok(packets),
        None => bail!("no such counter: {text}"),
    }
}
