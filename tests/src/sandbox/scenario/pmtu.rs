//! A link on the way that carries less: whoever sends too much learns of it, also where the node's
//! netfilter stands between him and the router that says so.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, Subnet},
    command, datagram,
    fabric::{Fabric, Plan, Pod, Sort},
    kernel,
    narrow::{self, Narrow},
    server::{ECHO_PORT, Server},
    together::together,
    traffic::exchange,
};

/// With both generations of hooks: one on the oldest kernel, the other on the newest.
pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |attach: &'static str| {
        Scenario::own(format!("pmtu::attach_{attach}"), move |bench| {
            let other = if attach == "tcx" { (5, 10) } else { (7, 3) };
            for (major, minor) in [(6, 1), (6, 12), other] {
                if kernel::is(major, minor)? {
                    let why = "tcx runs on Linux 7.3, netlink on 5.10";
                    return Ok(Outcome::Ignored(why.to_owned()));
                }
            }
            pmtu(bench, attach)
        })
    };
    vec![scenario("tcx"), scenario("netlink")]
}

const BYTES: u64 = 200_000;
/// What all other links carry, and a datagram of three fragments.
const LOCAL: usize = 1_500;
const DATAGRAM: usize = 4_000;

/// Where a pod's port on the node leads to the pod, by its number.
const NODE_PORT: u16 = 32_000;

/// What is asked, each time of another address of the remote host: what a pod has learnt about one says
/// nothing of the next.
#[derive(Clone, Copy, Debug)]
enum What {
    /// TCP.
    Stream,
    /// UDP that must not be fragmented.
    Discovery,
    /// UDP in fragments.
    Fragments,
}

impl What {
    const ALL: [Self; 3] = [Self::Stream, Self::Discovery, Self::Fragments];

    /// The last number of the addresses that it is asked of.
    const fn number(self) -> u8 {
        10 + self as u8
    }

    fn remote(self) -> Dual {
        Subnet::REMOTE.host(self.number())
    }

    /// A Service whose backend that is.
    const fn service(self) -> Dual {
        let number = self.number();
        Dual {
            v4: Ipv4Addr::new(10, 96, 0, number),
            v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number as u16),
        }
    }

    fn ask(self, pod: &Pod, to: IpAddr) -> Result<()> {
        let (from, to) = (&pod.namespace, SocketAddr::new(to, ECHO_PORT));
        match self {
            Self::Stream => exchange(from, to, BYTES),
            Self::Fragments => datagram::fragmented(from, to, DATAGRAM),
            Self::Discovery => {
                let path = datagram::discover(from, to, LOCAL)?;
                ensure!(path == narrow::MTU as usize, "the pod believes in {path} bytes");
                Ok(())
            }
        }
    }
}

fn pmtu(bench: &Bench, attach: &'static str) -> Result<Outcome> {
    let fabric =
        Fabric::build(&bench.programs, Plan { attach, all: true, nodes: 1, ..Plan::default() })?;
    let addresses = What::ALL.map(What::remote);
    let _narrow = Narrow::build(&fabric, &addresses[1..])?;
    translate(&fabric)?;
    let own: Vec<&Pod> = fabric.pods.iter().filter(|pod| pod.node == 0).collect();
    let all: Vec<IpAddr> =
        addresses.iter().flat_map(|dual| Family::BOTH.map(|family| dual.of(family))).collect();
    let _remote = Server::start(&fabric.remote.namespace, &all)?;
    let mut wrong = Vec::new();
    for (number, pod) in (0..).zip(&own) {
        let addresses = Family::BOTH.map(|family| pod.address.of(family));
        let _pod = Server::start(&pod.namespace, &addresses)?;
        wrong.extend(ask(&fabric, pod, NODE_PORT + number)?);
    }
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    Ok(Outcome::Passed)
}

/// Everything by a pod, and of it, at once.
fn ask(fabric: &Fabric, pod: &Pod, port: u16) -> Result<Vec<String>> {
    let mut jobs: Vec<Box<dyn FnOnce() -> Result<()> + Send>> = Vec::new();
    for family in Family::BOTH {
        for what in What::ALL {
            let service = calls_services(pod.sort).then(|| what.service());
            for dual in [Some(what.remote()), service].into_iter().flatten() {
                let to = dual.of(family);
                jobs.push(Box::new(move || {
                    what.ask(pod, to).with_context(|| format!("{} to {to} {what:?}", pod.name))
                }));
            }
        }
        if pod.sort.is_exclusive() {
            continue;
        }
        // The pod's answers are too long, and the router says so to the node.
        let node = fabric.address_of(0, pod.sort.segment).of(family);
        jobs.push(Box::new(move || {
            exchange(&fabric.remote.namespace, SocketAddr::new(node, port), BYTES)
                .with_context(|| format!("{} by {node} port {port}", pod.name))
        }));
    }
    let failed = together(jobs)?.into_iter().filter_map(Result::err);
    Ok(failed.map(|error| format!("{error:#}")).collect())
}

/// Whether answers of a backend elsewhere come back through the node that translated the question.
fn calls_services(sort: Sort) -> bool {
    !sort.is_exclusive() && sort.attachment != "ipvlan-l3"
}

/// Services of the remote host, and ports of the first node that lead to its pods.
fn translate(fabric: &Fabric) -> Result<()> {
    let mut rules = String::new();
    for family in Family::BOTH {
        let (ip, version) = match family {
            Family::Ipv4 => ("ip", "ipv4"),
            Family::Ipv6 => ("ip6", "ipv6"),
        };
        for what in What::ALL {
            let (service, remote) = (what.service().of(family), what.remote().of(family));
            writeln!(rules, "{ip} daddr {service} dnat {ip} to {remote}")?;
        }
        let own = fabric.pods.iter().filter(|pod| pod.node == 0);
        for (port, pod) in (NODE_PORT..).zip(own) {
            let backend = SocketAddr::new(pod.address.of(family), ECHO_PORT);
            let local = format!("meta nfproto {version} fib daddr type local tcp dport {port}");
            writeln!(rules, "{local} dnat {ip} to {backend}")?;
        }
    }
    let table = format!(
        "table inet narrow {{
            chain prerouting {{ type nat hook prerouting priority dstnat;\n{rules}\n}}
            chain output {{ type nat hook output priority -100;\n{rules}\n}}
        }}\n"
    );
    let mut nft = fabric.nodes[0].namespace.command("nft");
    command::run_with_input(nft.args(["-f", "-"]), &table).context("set up the Services")?;
    Ok(())
}
