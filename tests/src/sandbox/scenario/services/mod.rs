//! Services that netpath translates by itself: who is asked, who may ask, and what clients see.

mod affinity;
mod bad_input;
mod churn;
mod clients;
mod cluster;
mod dns;
mod draining;
mod endpoints;
mod errors;
mod ledger;
mod local_dns;
mod names;
mod policies;
mod ports;
mod probes;
mod scale;
mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Bench, Outcome, Scenario};
use crate::sandbox::{
    address::{Dual, Family},
    command,
    counter::{drops, moved},
    fabric::{Fabric, Plan, Pod, Translate},
    namespace::Namespace,
    probe::{Patience, Proto, name},
    server::{ECHO_PORT, Server},
    together::together,
};

type Check = fn(&Stage) -> Result<()>;

/// Everything, translated at packets and at sockets, in the running kernel: what they ask of one, the
/// matrix asks of all.
pub(super) fn scenarios() -> Vec<Scenario> {
    let checks: [(&str, Check); 14] = [
        ("affinity", affinity::stays),
        ("policy::internal", policies::internal),
        ("policy::external", policies::external),
        ("endpoints::terminating", endpoints::terminating),
        ("endpoints::not_ready", endpoints::not_ready),
        ("sources", sources::ranges),
        ("ports::named", ports::named),
        ("ports::of_other_node", ports::of_other_node),
        ("ports::nobody_has", ports::nobody_has),
        ("errors::port", errors::port),
        ("names::peer", names::peer),
        ("names::datagrams", names::datagrams),
        ("draining", draining::goes_on),
        ("bad_input", bad_input::is_named),
    ];
    // Programs that a guest may not have.
    let clients: [(&str, Check); 4] = [
        ("curl", clients::curl),
        ("dig", clients::dig),
        ("nc", clients::nc),
        ("iperf3", clients::iperf3),
    ];
    let all = |translate: Translate| {
        let word = translate.name();
        let checks = checks.into_iter().map(move |(name, check)| {
            let name = format!("native::services::{word}::{name}");
            Scenario::own(name, move |bench| run(bench, translate, check))
        });
        let clients = clients.into_iter().map(move |(program, check)| {
            let name = format!("native::services::{word}::clients::{program}");
            Scenario::own(name, move |bench| {
                if command::exists(program) {
                    return run(bench, translate, check);
                }
                Ok(Outcome::Ignored(format!("there is no {program}")))
            })
        });
        checks.chain(clients)
    };
    Translate::BOTH
        .into_iter()
        .flat_map(|translate| {
            all(translate).chain(native(translate)).chain(cluster::scenarios(translate))
        })
        .chain(cluster::measured())
        .collect()
}

/// In the running kernel only: emulated, a guest has no time for so many connections.
fn native(translate: Translate) -> [Scenario; 5] {
    let word = translate.name();
    let measured = |name| format!("native::measured::{word}::{name}");
    [
        Scenario::own(format!("native::services::{word}::local_dns"), move |bench| {
            local_dns::dies_and_returns(bench, translate)
        }),
        Scenario::own(measured("probes"), move |bench| probes::under_load(bench, translate)),
        Scenario::own(measured("scale"), move |bench| scale::ten_thousand(bench, translate)),
        Scenario::own(measured("churn"), move |bench| churn::churn(bench, translate, false)),
        Scenario::own(measured("churn_agent_killed"), move |bench| {
            churn::churn(bench, translate, true)
        }),
    ]
}

/// What has been agreed on by clients and who answers.
const SERVICE: Dual =
    Dual { v4: Ipv4Addr::new(10, 96, 0, 10), v6: Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0xa) };
const PORT: u16 = 80;
const NODE_PORT: u16 = 30_080;

/// How often somebody is asked who has equals: all of them are heard, but for one in a million times.
const OFTEN: usize = 20;

/// Two nodes with servers in all pods, and who asks.
struct Stage {
    fabric: Fabric,
    translate: Translate,
    _servers: Vec<Server>,
}

fn run(bench: &Bench, translate: Translate, check: Check) -> Result<Outcome> {
    let plan = Plan { services: Some(translate), ..Plan::default() };
    let fabric = Fabric::build(&bench.programs, plan)?;
    let servers = fabric.start_servers()?;
    check(&Stage { fabric, translate, _servers: servers })?;
    Ok(Outcome::Passed)
}

impl Stage {
    fn pod(&self, name: &str) -> Result<&Pod> {
        let found = self.fabric.pods.iter().find(|pod| pod.name == name);
        found.with_context(|| format!("no pod {name}"))
    }

    /// Pods of two attachments, which ask.
    fn clients(&self) -> Result<[&Pod; 2]> {
        Ok([self.pod("p1")?, self.pod("m1")?])
    }

    /// What the Service's endpoints are called in JSON; changed, they are as the fields say.
    fn endpoint(&self, name: &str, fields: &[(&str, Value)]) -> Result<Value> {
        let pod = self.pod(name)?;
        let mut endpoint = json!({
            "addresses": both(pod.address),
            "node": self.fabric.nodes[pod.node].name,
        });
        for (field, value) in fields {
            endpoint[*field] = value.clone();
        }
        Ok(endpoint)
    }

    /// Endpoints that are ready.
    fn endpoints(&self, names: &[&str]) -> Result<Value> {
        names.iter().map(|name| self.endpoint(name, &[])).collect()
    }

    /// Gives both nodes the Service, with more fields than all have.
    fn apply(&self, endpoints: &Value, fields: &[(&str, Value)]) -> Result<()> {
        let ports = ["tcp", "udp"].map(|protocol| {
            json!({
                "name": protocol, "protocol": protocol, "port": PORT, "target": ECHO_PORT,
                "node_port": NODE_PORT,
            })
        });
        let mut service = json!({
            "name": "default/echo", "cluster_ips": both(SERVICE), "ports": ports,
            "endpoints": endpoints,
        });
        for (field, value) in fields {
            service[*field] = value.clone();
        }
        self.fabric.apply(&service)
    }

    /// Asks at an address again and again: who answers. In both families, by both protocols.
    fn expect(
        &self,
        (who, from): (&str, &Namespace),
        to: Dual,
        port: u16,
        pods: &[&str],
    ) -> Result<()> {
        for (family, proto) in ways() {
            let expected: BTreeSet<_> = pods
                .iter()
                .map(|name| Ok(self.pod(name)?.address.of(family)))
                .collect::<Result<_>>()?;
            let to = SocketAddr::new(to.of(family), port);
            let answers = (0..OFTEN)
                .map(|_| name(from, to, proto, Patience::EXPECTED))
                .collect::<Result<BTreeSet<Option<IpAddr>>>>()?;
            let expected: BTreeSet<_> = expected.into_iter().map(Some).collect();
            let proto = proto.name();
            ensure!(
                answers == expected,
                "{who} asks {to} {proto}: {answers:?} answer, expected {expected:?}"
            );
        }
        Ok(())
    }

    /// Asks at an address that does not answer, in all ways at once. `reason` is why node `node` drops what
    /// asks; none if a socket is told at once.
    fn expect_nobody(
        &self,
        (who, from): (&str, &Namespace),
        to: (Dual, u16),
        reason: Option<(usize, &str)>,
    ) -> Result<()> {
        let before = reason.map(|(node, _)| self.drops(node)).transpose()?;
        let asks = ways().map(|(family, proto)| {
            let at = SocketAddr::new(to.0.of(family), to.1);
            move || (at, proto.name(), name(from, at, proto, Patience::UNEXPECTED))
        });
        let answers = together(asks)?;
        for (at, proto, answer) in &answers {
            ensure!(matches!(answer, Ok(None)), "{who} asks {at} {proto}: {answer:?}");
        }
        if let (Some((node, reason)), Some(before)) = (reason, before) {
            let after = self.drops(node)?;
            let (before, after) = (borrow(&before), borrow(&after));
            let moved = moved(&before, &after);
            let each = moved.get(reason).is_some_and(|count| *count >= answers.len() as u64);
            ensure!(each && moved.len() == 1, "{who} asks {to:?}: dropped {moved:?}");
        }
        Ok(())
    }

    /// What a node has dropped so far, by reason.
    fn drops(&self, node: usize) -> Result<BTreeMap<String, u64>> {
        let counters = self.fabric.agents[node].counters()?;
        let drops = drops(&counters).into_iter();
        Ok(drops.map(|(reason, packets)| (reason.to_owned(), packets)).collect())
    }

    /// Leads an address to the first node.
    fn lead(&self, to: Dual) -> Result<()> {
        let via = self.fabric.nodes[0].address;
        self.fabric.router.ip(&[
            format!("route add {}/32 via {}", to.v4, via.v4),
            format!("route add {}/128 via {}", to.v6, via.v6),
        ])
    }

    fn remote(&self) -> (&str, &Namespace) {
        (self.fabric.remote.name, &self.fabric.remote.namespace)
    }
}

fn asker(pod: &Pod) -> (&str, &Namespace) {
    (&pod.name, &pod.namespace)
}

fn borrow(drops: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    drops.iter().map(|(reason, packets)| (&**reason, *packets)).collect()
}

fn both(dual: Dual) -> [IpAddr; 2] {
    Family::BOTH.map(|family| dual.of(family))
}

/// Every family by every protocol.
fn ways() -> impl Iterator<Item = (Family, Proto)> {
    Family::BOTH
        .into_iter()
        .flat_map(|family| [Proto::Tcp, Proto::Udp].map(|proto| (family, proto)))
}

/// How long a connection may take; what is refused is refused at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which answerer answers a connection.
fn once(address: SocketAddr) -> Result<u8, String> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut id = [0];
        stream.read_exact(&mut id)?;
        std::io::Result::Ok(id[0])
    };
    ask().map_err(|error| format!("{address}: {error}"))
}
