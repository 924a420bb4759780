//! Every pair of attachments, on one node and across two, over several parents.

use std::{iter, net::IpAddr};

use anyhow::{Result, bail, ensure};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family, SERVICE},
    fabric::{Fabric, Plan, Pod, SEGMENTS},
    kernel,
    namespace::Namespace,
    probe::{Patience, Proto, probe},
    together::together,
    wire::Wire,
};

/// With both generations of hooks, where there are two.
pub(super) fn scenarios() -> Vec<Scenario> {
    let netlink = |bench: &Bench| match kernel::without_hooks("netlink")? {
        Some(why) => Ok(Outcome::Ignored(why)),
        None if !kernel::at_least(6, 6)? => {
            Ok(Outcome::Ignored("without tcx, auto is netlink".to_owned()))
        }
        None => pairs(bench, "netlink"),
    };
    vec![
        Scenario::own("attachments::pairs::attach_auto", |bench| pairs(bench, "auto")),
        Scenario::own("attachments::pairs::attach_netlink", netlink),
    ]
}

/// One question.
pub(super) struct Ask<'a> {
    pub(super) from: (&'a str, &'a Namespace, Dual),
    to: (&'a str, Dual),
    /// The path that the node which decides should name.
    path: Option<(usize, &'static str)>,
}

fn pairs(bench: &Bench, attach: &'static str) -> Result<Outcome> {
    let fabric = Fabric::build(&bench.programs, Plan { attach, all: true, ..Plan::default() })?;
    let _servers = fabric.start_servers()?;
    let mut ports = Port::all(&fabric)?;
    let asks = questions(&fabric);
    let mut wrong = Vec::new();
    // Those of one sender at once.
    for same in asks.chunk_by(|a, b| a.from.0 == b.from.0) {
        wrong.extend(ask(&fabric, same)?);
        for port in &mut ports {
            wrong.extend(port.strangers(&fabric)?);
        }
    }
    let heard: Vec<_> = ports.iter().map(|port| port.heard).collect();
    eprintln!(
        "attachments: {} pairs, 2 families, 3 protocols; on the wires of the NICs {heard:?} packets",
        asks.len()
    );
    let silent = ports.iter().any(|port| port.is_silent(&fabric));
    ensure!(!silent, "nothing was heard on a wire");
    if wrong.is_empty() {
        return Ok(Outcome::Passed);
    }
    bail!("{} not as expected: {}", wrong.len(), wrong.join("; "))
}

/// The router's end of a cable to a NIC of the first node.
pub(super) struct Port {
    segment: usize,
    wire: Wire,
    /// Packets of pods that may use it.
    pub(super) heard: usize,
}

impl Port {
    pub(super) fn all(fabric: &Fabric) -> Result<Vec<Self>> {
        let open = |segment| {
            let name = format!("{}-{segment}", fabric.nodes[0].name);
            Ok(Self { segment, wire: Wire::open(&fabric.router, &name)?, heard: 0 })
        };
        (0..SEGMENTS).map(open).collect()
    }

    /// Whether nothing was heard of the pods that use it.
    pub(super) fn is_silent(&self, fabric: &Fabric) -> bool {
        let mut own = fabric.pods.iter().filter(|pod| pod.node == 0 && !pod.sort.is_exclusive());
        self.heard == 0 && own.any(|pod| pod.sort.segment == self.segment)
    }

    /// What pods of the first node sent by a NIC that is not theirs, or to each other: that stays on
    /// the node.
    pub(super) fn strangers(&mut self, fabric: &Fabric) -> Result<Vec<String>> {
        let own: Vec<&Pod> = fabric.pods.iter().filter(|pod| pod.node == 0).collect();
        let find = |address: IpAddr| {
            let has = |pod: &&Pod| Family::BOTH.iter().any(|it| pod.address.of(*it) == address);
            own.iter().copied().find(has)
        };
        let mut wrong = Vec::new();
        for frame in self.wire.seen()? {
            let Some((source, destination)) = ends(&frame) else { continue };
            let Some(sender) = find(source) else { continue };
            // The other end of such a talk is on its own wire.
            let away = |pod: &Pod| pod.sort.is_exclusive();
            let peer = find(destination);
            if away(sender) || peer.is_some_and(away) {
                continue;
            }
            if sender.sort.segment != self.segment || peer.is_some() {
                wrong
                    .push(format!("{source} to {destination} by the wire of NIC {}", self.segment));
            } else {
                self.heard += 1;
            }
        }
        wrong.dedup();
        Ok(wrong)
    }
}

/// Source and destination of an IP packet.
fn ends(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    fn at<const N: usize>(frame: &[u8], offset: usize) -> Option<[u8; N]> {
        frame.get(offset..offset + N)?.try_into().ok()
    }
    match at::<2>(frame, 12)? {
        [0x08, 0x00] => Some((at::<4>(frame, 26)?.into(), at::<4>(frame, 30)?.into())),
        [0x86, 0xdd] => Some((at::<16>(frame, 22)?.into(), at::<16>(frame, 38)?.into())),
        _ => None,
    }
}

/// Everybody on the first node asks everybody, and is asked by the host behind the router.
pub(super) fn questions(fabric: &Fabric) -> Vec<Ask<'_>> {
    let node = &fabric.nodes[0];
    let host = (node.name, &node.namespace, node.address);
    let other = (fabric.nodes[1].name, fabric.nodes[1].address);
    let remote = &fabric.remote;
    let mut asks = Vec::new();
    let own = |pod: &Pod| pod.node == 0;
    for pod in fabric.pods.iter().filter(|pod| own(pod)) {
        let from = (&*pod.name, &pod.namespace, pod.address);
        let by = |path| Some((0, if pod.sort.stack { "kernel" } else { path }));
        // By the wire, past the node.
        let away = |path| if pod.sort.is_exclusive() { Some((0, "router")) } else { by(path) };
        for peer in fabric.pods.iter().filter(|peer| peer.name != pod.name) {
            // Who is carried by the host stack is found there.
            let local = own(peer) && (pod.sort.stack || !peer.sort.is_exclusive());
            let path = match (local, peer.sort.stack) {
                (true, true) => "kernel",
                (true, false) => "local",
                (false, _) => "router",
            };
            let path = if local && peer.sort.stack { by(path) } else { away(path) };
            asks.push(Ask { from, to: (&peer.name, peer.address), path });
        }
        asks.push(Ask { from, to: (node.name, node.address), path: by("host") });
        asks.push(Ask { from, to: ("service", SERVICE), path: by("host") });
        asks.push(Ask { from, to: other, path: away("router") });
        asks.push(Ask { from, to: (remote.name, remote.address), path: away("router") });
    }
    for pod in &fabric.pods {
        let to = (&*pod.name, pod.address);
        asks.push(Ask { from: host, to, path: None });
    }
    for pod in fabric.pods.iter().filter(|pod| own(pod)) {
        let from = (remote.name, &remote.namespace, remote.address);
        let path = Some((0, if pod.sort.stack { "kernel" } else { "local" }));
        asks.push(Ask { from, to: (&pod.name, pod.address), path });
    }
    asks
}

/// Asks in both families by every protocol, all at once, and says what was not as expected.
pub(super) fn ask(fabric: &Fabric, asks: &[Ask<'_>]) -> Result<Vec<String>> {
    let mut jobs = Vec::new();
    for ask in asks {
        for family in Family::BOTH {
            let protos = Proto::ALL.map(Some).into_iter();
            jobs.extend(iter::once(None).chain(protos).map(|proto| {
                move || match proto {
                    None => ask.explain(fabric, family),
                    Some(proto) => ask.probe(family, proto),
                }
            }));
        }
    }
    together(jobs)?.into_iter().filter_map(Result::transpose).collect()
}

impl Ask<'_> {
    /// The path that the agent names, if it is not the expected one.
    fn explain(&self, fabric: &Fabric, family: Family) -> Result<Option<String>> {
        let Self { from, to, path } = self;
        let Some((node, expected)) = path else { return Ok(None) };
        let found = fabric.agents[*node].path(from.2.of(family), to.1.of(family))?;
        let wrong = || format!("{} -> {} {family:?}: path {found}", from.0, to.0);
        Ok((found != *expected).then(wrong))
    }

    /// A question that is not answered.
    fn probe(&self, family: Family, proto: Proto) -> Result<Option<String>> {
        let Self { from, to, path: _ } = self;
        let answered = probe(from.1, to.1.of(family), proto, Patience::EXPECTED)?;
        let wrong = || format!("{} -> {} {family:?} {}: none", from.0, to.0, proto.name());
        Ok((!answered).then(wrong))
    }
}
