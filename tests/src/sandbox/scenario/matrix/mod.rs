//! The return matrix: what the host's netfilter translates, or netpath, comes back through it, whoever
//! asks and whoever answers, and nobody's source is hidden who need not be.

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
    fabric::{Fabric, Plan, Pod, SEGMENTS, Translate},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, who},
    together::together,
};

/// By who translates, and with each kind of child on the first parent.
pub(super) fn scenarios() -> Vec<Scenario> {
    let matrix = |by: Translator, name: &str, plan: Plan| {
        Scenario::own(format!("matrix::{}::{name}", by.name()), move |bench| {
            match by.left_out(plan)? {
                Some(why) => Ok(Outcome::Ignored(why)),
                None => matrix(bench, by, plan),
            }
        })
    };
    let first = Plan::default();
    let native = |translate: Translate, attach| {
        let plan = Plan { attach, all: true, services: Some(translate), ..Plan::default() };
        let name = format!("{}::attach_{attach}", translate.name());
        matrix(Translator::Native(translate), &name, plan)
    };
    vec![
        matrix(Translator::Nftables, "ipvlan_first", first),
        matrix(Translator::Nftables, "macvlan_first", Plan { swapped: true, ..first }),
        matrix(Translator::Iptables, "ipvlan_first", first),
        native(Translate::Packet, "tcx"),
        native(Translate::Packet, "netlink"),
        native(Translate::Auto, "tcx"),
        native(Translate::Auto, "netlink"),
    ]
}

/// Who translates: netfilter, by rules that are written as the two proxies of Kubernetes do, or netpath.
#[derive(Clone, Copy, Debug)]
enum Translator {
    /// Rules of nftables.
    Nftables,
    /// iptables, by the kernel's nftables.
    Iptables,
    /// netpath itself.
    Native(Translate),
}

impl Translator {
    const fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Native(_) => "native",
        }
    }

    /// Why it is left out on this kernel, if it is: netfilter is the same on all, and the matrix long.
    fn left_out(self, plan: Plan) -> Result<Option<String>> {
        let middle = kernel::is(6, 12)?;
        let ends = kernel::is(5, 10)? || kernel::is(7, 3)?;
        Ok(match self {
            Self::Nftables if ends || kernel::is(6, 1)? => Some("it runs on Linux 6.12".to_owned()),
            Self::Iptables if middle || kernel::is(6, 1)? => {
                Some("it runs on Linux 5.10 and 7.3".to_owned())
            }
            Self::Native(translate) => native::left_out(translate, plan.attach)?,
            _ => None,
        })
    }

    fn set_up(self, fabric: &Fabric) -> Result<()> {
        let node = &fabric.nodes[0].namespace;
        match self {
            Self::Nftables => nftables::set_up(node, &Services::of(fabric)),
            Self::Iptables => iptables::set_up(node, &Services::of(fabric)),
            Self::Native(_) => native::set_up(fabric),
        }
        .context("set up the Services")
    }

    /// Whom a backend should see that is asked at a kind of address.
    fn seen(self, asker: Asker<'_>, backend: &Pod, kind: &str) -> Seen {
        if let Self::Native(translate) = self {
            return native::seen(translate, asker, backend);
        }
        match asker {
            Asker::Pod(pod) if pod.name == backend.name => Seen::Node,
            Asker::Remote if kind == NODE_PORT_CLUSTER => Seen::Node,
            Asker::Host => Seen::Node,
            Asker::Pod(_) | Asker::Remote => Seen::Asker,
        }
    }

    /// Whether a backend's answer to a pod of the first node finds its way.
    fn leads_back(self, pod: &Pod, backend: &Pod) -> bool {
        let is_hidden = pod.sort.is_exclusive() && backend.node != 0;
        match self {
            Self::Native(Translate::Packet) if is_hidden => {
                native::leads_back(backend, pod.sort.segment)
            }
            _ => true,
        }
    }

    /// An error if something is not as it should be after what the node itself and its pods have asked.
    fn check_inside(self, fabric: &Fabric) -> Result<()> {
        match self {
            Self::Native(Translate::Auto) => native::is_at_sockets(fabric),
            _ => Ok(()),
        }
    }

    /// The same after all questions: no packets that conntrack could make nothing of, or no rules at all.
    fn check(self, node: &Namespace) -> Result<()> {
        let invalid = match self {
            Self::Nftables => nftables::invalid(node)?,
            Self::Iptables => iptables::invalid(node)?,
            Self::Native(_) => return native::is_without_rules(node),
        };
        ensure!(invalid == 0, "conntrack took {invalid} packets for invalid");
        Ok(())
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

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Asker<'a> {
    /// A pod of the first node.
    Pod(&'a Pod),
    /// The first node.
    Host,
    /// Somebody on the wire.
    Remote,
}

struct Ask<'a> {
    what: String,
    from: Asker<'a>,
    to: Dual,
    port: u16,
    seen: Seen,
}

const NODE_PORT_CLUSTER: &str = "NodePort Cluster";

fn matrix(bench: &Bench, by: Translator, plan: Plan) -> Result<Outcome> {
    let fabric = Fabric::build(&bench.programs, plan)?;
    by.set_up(&fabric)?;
    lead_to_node(&fabric)?;
    let _servers = fabric.start_servers()?;
    let (outside, inside): (Vec<_>, Vec<_>) =
        questions(&fabric, by).into_iter().partition(|ask| matches!(ask.from, Asker::Remote));
    let mut wrong = ask_all(&fabric, &inside)?;
    by.check_inside(&fabric)?;
    wrong.extend(ask_all(&fabric, &outside)?);
    let asked = inside.len() + outside.len();
    eprintln!("matrix: {asked} questions, 2 families, 2 protocols, each twice");
    ensure!(wrong.is_empty(), "{} not as expected: {}", wrong.len(), wrong.join("; "));
    by.check(&fabric.nodes[0].namespace)?;
    Ok(Outcome::Passed)
}

fn questions(fabric: &Fabric, by: Translator) -> Vec<Ask<'_>> {
    let own: Vec<&Pod> = fabric.pods.iter().filter(|pod| pod.node == 0).collect();
    let mut asks = Vec::new();
    for (number, backend) in fabric.pods.iter().enumerate() {
        let mut ask = |kind: &str, from, to, port| {
            let seen = by.seen(from, backend, kind);
            let what = format!("{kind} of {}", backend.name);
            asks.push(Ask { what, from, to, port, seen });
        };
        let service = cluster_ip(number);
        for pod in own.iter().filter(|pod| by.leads_back(pod, backend)) {
            ask("ClusterIP", Asker::Pod(pod), service, SERVICE_PORT);
        }
        ask("ClusterIP", Asker::Host, service, SERVICE_PORT);
        let port = |base| port_of(base, number);
        if backend.node != 0 {
            if let Translator::Native(_) = by {
                for segment in (0..SEGMENTS).filter(|segment| native::leads_back(backend, *segment))
                {
                    let address = fabric.address_of(0, segment);
                    ask(NODE_PORT_CLUSTER, Asker::Remote, address, port(CLUSTER));
                }
            }
            continue;
        }
        // By the backend's own parent: a strict source check takes what comes by another for
        // forged, for the way back to the asker leads by this one.
        let segment = backend.sort.segment;
        let address = fabric.address_of(0, segment);
        ask(NODE_PORT_CLUSTER, Asker::Remote, address, port(CLUSTER));
        ask("NodePort Local", Asker::Remote, address, port(LOCAL));
        ask("hostPort", Asker::Remote, address, port(HOST_PORT));
        let balancer = load_balancer(number, segment);
        ask("LoadBalancer Local", Asker::Remote, balancer, SERVICE_PORT);
        for pod in own.iter().filter(|pod| pod.name != backend.name) {
            ask("hostPort", Asker::Pod(pod), fabric.nodes[0].address, port(HOST_PORT));
        }
    }
    asks
}

fn ask_all(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for some in asks.chunks(8) {
        wrong.extend(ask(fabric, some)?);
    }
    Ok(wrong)
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
        let (name, namespace, own) = match from {
            Asker::Pod(pod) => (&*pod.name, &pod.namespace, pod.address),
            Asker::Host => fabric.nodes[0].parts(),
            Asker::Remote => fabric.remote.parts(),
        };
        let to = SocketAddr::new(to.of(family), *port);
        for round in ["first", "again"] {
            let found = who(namespace, to, proto, Patience::EXPECTED)?;
            let right = found.is_some_and(|found| match seen {
                Seen::Asker => found == own.of(family),
                Seen::Node => is_node(fabric, found),
            });
            if !right {
                let proto = proto.name();
                let wrong = format!("{name} to {what}, {to} {proto}, {round}: seen as {found:?}");
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
