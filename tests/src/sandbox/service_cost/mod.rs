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
const ROUNDS: usize = 15;
const CONNECTIONS: u32 = 200;
const DATAGRAMS: u32 = 2_000;
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
    Sockets,
    Packets,
    Nftables,
    Iptables,
}

impl By {
    const ALL: [Self; 5] =
        [Self::Nobody, Self::Sockets, Self::Packets, Self::Nftables, Self::Iptables];

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

/// A node with pods and Services, and its place in the measurement.
struct Stand {
    by: By,
    services: u16,
    fabric: Fabric,
    target: SocketAddr,
    _answerers: Vec<Answerer>,
    connect: Duration,
    datagram: Duration,
}

/// Measures all, one after the other and again, so that a busy moment spoils one round of each. The node
/// asks the last Service.
pub fn measure(programs: &Programs, progress: impl Fn(&str)) -> Result<Vec<Row>> {
    let mut stands = Vec::new();
    for by in By::ALL {
        let counts = if by == By::Nobody { &[0][..] } else { &[FEW, MANY] };
        for count in counts {
            progress(&format!("{}, {count} Services", by.name()));
            stands.push(Stand::build(programs, by, *count)?);
        }
    }
    for round in 1..=ROUNDS {
        progress(&format!("round {round} of {ROUNDS}"));
        for stand in &mut stands {
            stand.measure()?;
        }
    }
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let rows = stands.iter().map(|Stand { by, services, connect, datagram, .. }| Row {
        by: by.name(),
        services: *services,
        connect_ns: nanoseconds(*connect),
        datagram_ns: nanoseconds(*datagram),
    });
    Ok(rows.collect())
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
    fn build(programs: &Programs, by: By, services: u16) -> Result<Self> {
        let plan = Plan { services: by.translate(), nodes: 1, large: true, ..Plan::default() };
        let fabric = Fabric::build(programs, plan)?;
        // Those whose packets the parents' hooks lead, not the stack.
        let pods: Vec<&Pod> = fabric.pods.iter().filter(|pod| !pod.sort.stack).collect();
        let answerers = pods.iter().map(|pod| Answerer::start(&pod.namespace, PORT, 1));
        let answerers = answerers.collect::<Result<Vec<_>>>()?;
        let own: Vec<_> = pods.iter().map(|pod| pod.address.v4).collect();
        let last = services.checked_sub(1);
        let leads: Vec<Lead> = (0..services)
            .map(|number| {
                let backends = if Some(number) == last {
                    own.clone()
                } else {
                    (0..BACKENDS).map(|place| nobody(number, place)).collect()
                };
                (address(number), backends)
            })
            .collect();
        let target = match last {
            Some(last) => address(last),
            None => own[0],
        };
        let node = &fabric.nodes[0].namespace;
        match by {
            By::Nobody => {}
            By::Sockets | By::Packets => apply(&fabric, &leads)?,
            By::Nftables => netfilter::nftables(node, &leads)?,
            By::Iptables => netfilter::iptables(node, &leads)?,
        }
        Ok(Self {
            by,
            services,
            fabric,
            target: SocketAddr::from((target, PORT)),
            _answerers: answerers,
            connect: Duration::MAX,
            datagram: Duration::MAX,
        })
    }

    fn measure(&mut self) -> Result<()> {
        let target = self.target;
        let what = format!("{} with {} Services", self.by.name(), self.services);
        let measured = self.fabric.nodes[0].namespace.enter(|| {
            Ok((time(CONNECTIONS, || connect(target))?, {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.connect(target)?;
                ask(&socket)?;
                time(DATAGRAMS, || ask(&socket))?
            }))
        });
        let (connect, datagram) = measured.context(what)?;
        self.connect = self.connect.min(connect);
        self.datagram = self.datagram.min(datagram);
        Ok(())
    }
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
