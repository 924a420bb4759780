//! What Services cost who asks: a connection, and a packet of one that is there, by how many Services there
//! are and who translates.

mod netfilter;

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;

use self::netfilter::Lead;
use super::{
    agent::Programs,
    answerer::Answerer,
    fabric::{Fabric, Plan, Pod, Translate},
};

/// Of Services and their backends.
const PORT: u16 = 9300;
const FEW: u16 = 10;
/// As many as the largest clusters have.
pub const MANY: u16 = 10_000;
/// Backends of each.
const BACKENDS: u8 = 5;
/// Measurements, of which the least counts: whatever else the machine does only adds.
const ROUNDS: usize = 60;
const CONNECTIONS: u32 = 50;
const DATAGRAMS: u32 = 500;
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who translates.
    pub by: &'static str,
    /// How many Services there are.
    pub services: u16,
    /// Nanoseconds of a connection, with one byte of answer.
    pub connect_ns: u64,
    /// Nanoseconds of a datagram and its answer, in a flow that is known.
    pub datagram_ns: u64,
}

/// Who translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// Nobody: a backend is asked itself.
    Nobody,
    Iptables,
    Nftables,
    Packets,
    Sockets,
}

impl By {
    /// The one with a cgroup comes last, and goes last: it takes this process in, and agents that it starts
    /// from then on.
    const ALL: [Self; 5] =
        [Self::Nobody, Self::Iptables, Self::Nftables, Self::Packets, Self::Sockets];

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Sockets => "netpath, sockets",
            Self::Packets => "netpath, packets",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    const fn translate(self) -> Option<Translate> {
        match self {
            Self::Sockets => Some(Translate::Auto),
            Self::Packets => Some(Translate::Packet),
            Self::Nobody | Self::Nftables | Self::Iptables => None,
        }
    }
}

/// A node with pods and Services.
struct Stand {
    by: By,
    fabric: Fabric,
    target: SocketAddr,
    answerers: Vec<Answerer>,
}

/// Measures all, one after the other and again, so that a busy moment spoils one round of each: with few
/// Services, then with many. The node asks the last one.
pub fn measure(programs: &Programs, progress: impl Fn(&str)) -> Result<Vec<Row>> {
    let build = |by| {
        progress(By::name(by));
        Stand::build(programs, by)
    };
    let mut stands = By::ALL.into_iter().map(build).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for services in [FEW, MANY] {
        for stand in &mut stands {
            progress(&format!("{}, {services} Services", stand.by.name()));
            stand.fill(services)?;
        }
        let mut least = vec![[Duration::MAX; 2]; stands.len()];
        for round in 1..=ROUNDS {
            progress(&format!("{services} Services, round {round} of {ROUNDS}"));
            for (stand, least) in stands.iter().zip(&mut least) {
                let took = stand.measure().with_context(|| stand.by.name())?;
                *least = [0, 1].map(|what| least[what].min(took[what]));
            }
        }
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        rows.extend(stands.iter().zip(least).map(|(stand, least)| {
            let [connect_ns, datagram_ns] = least.map(nanoseconds);
            Row { by: stand.by.name(), services, connect_ns, datagram_ns }
        }));
    }
    rows.sort_by_key(|row| By::ALL.iter().position(|by| by.name() == row.by));
    Ok(rows)
}

/// Of each way, what many Services cost in parts of what few cost.
#[must_use]
pub fn ratios(rows: &[Row]) -> BTreeMap<&'static str, [f64; 2]> {
    let of = |by, services| rows.iter().find(|row| (row.by, row.services) == (by, services));
    let ratio = |many, few| Duration::from_nanos(many).div_duration_f64(Duration::from_nanos(few));
    let ratios = By::ALL.iter().filter_map(|by| {
        let (few, many) = (of(by.name(), FEW)?, of(by.name(), MANY)?);
        let both =
            [ratio(many.connect_ns, few.connect_ns), ratio(many.datagram_ns, few.datagram_ns)];
        Some((by.name(), both))
    });
    ratios.collect()
}

impl Stand {
    fn build(programs: &Programs, by: By) -> Result<Self> {
        let plan = Plan { services: by.translate(), nodes: 1, large: true, ..Plan::default() };
        let fabric = Fabric::build(programs, plan)?;
        let answerers = backends(&fabric).map(|pod| Answerer::start(&pod.namespace, PORT, 1));
        let answerers = answerers.collect::<Result<_>>()?;
        let target = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        Ok(Self { by, fabric, target, answerers })
    }

    /// Gives it so many Services; nobody has but the last one's backends.
    fn fill(&mut self, services: u16) -> Result<()> {
        let own: Vec<_> = backends(&self.fabric).map(|pod| pod.address.v4).collect();
        ensure!(own.len() == self.answerers.len() && services > 0, "nobody answers");
        let last = services - 1;
        let target = if self.by == By::Nobody { own[0] } else { address(last) };
        self.target.set_ip(target.into());
        let leads: Vec<Lead> = (0..services)
            .map(|number| {
                let others = || (0..BACKENDS).map(|place| nobody(number, place)).collect();
                (address(number), if number == last { own.clone() } else { others() })
            })
            .collect();
        let node = &self.fabric.nodes[0].namespace;
        match self.by {
            By::Nobody => Ok(()),
            By::Sockets | By::Packets => apply(&self.fabric, &leads),
            By::Nftables => netfilter::nftables(node, &leads),
            By::Iptables => netfilter::iptables(node, &leads),
        }
    }

    /// How long a connection takes, and a datagram.
    fn measure(&self) -> Result<[Duration; 2]> {
        let target = self.target;
        self.fabric.nodes[0].namespace.enter(|| {
            let connection = time(CONNECTIONS, || connect(target))?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(target)?;
            ask(&socket)?;
            Ok([connection, time(DATAGRAMS, || ask(&socket))?])
        })
    }
}

/// Pods whose packets the parents' hooks lead, not the stack.
fn backends(fabric: &Fabric) -> impl Iterator<Item = &Pod> {
    fabric.pods.iter().filter(|pod| !pod.sort.stack)
}

fn apply(fabric: &Fabric, leads: &[Lead]) -> Result<()> {
    let services = leads.iter().enumerate().map(|(number, (address, backends))| {
        let ports = ["tcp", "udp"]
            .map(|protocol| json!({ "name": protocol, "protocol": protocol, "port": PORT }));
        let endpoints: Vec<_> =
            backends.iter().map(|own| json!({ "addresses": [own], "node": "node1" })).collect();
        json!({
            "name": format!("cost/service-{number}"),
            "cluster_ips": [address],
            "ports": ports,
            "endpoints": endpoints,
        })
    });
    fabric.apply_at(0, &services.collect())
}

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 96, 100 + high, low)
}

/// A backend that is never asked.
fn nobody(number: u16, place: u8) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 200 + place, high, low)
}

/// The mean.
fn time(times: u32, mut what: impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..times {
        what()?;
    }
    Ok(begin.elapsed() / times)
}

fn connect(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    ensure!(answer == [1], "answered with {answer:?}");
    Ok(())
}

fn ask(socket: &UdpSocket) -> Result<()> {
    socket.send(b"?")?;
    let mut answer = [0];
    ensure!(socket.recv(&mut answer)? == 1, "an empty answer");
    Ok(())
}
