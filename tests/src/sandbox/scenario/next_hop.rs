//! Routes with a next hop: what a pod sends to their prefix goes by the neighbour that they name.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{Effort, Outcome, Scenario};
use crate::sandbox::{
    address::{Family, Subnet},
    agent::Settings,
    lab::Lab,
    probe::{self, Patience, Pinger, Proto},
    server::ECHO_PORT,
    table,
    topology::{INTERFACE, Place},
    wait,
    wire::Wire,
};

/// By way of switching: the way off the node is the same in both.
pub(super) fn scenarios() -> Vec<Scenario> {
    ["parent", "driver"]
        .map(|switching| {
            let settings = Settings { switching: switching.into(), ..Settings::default() };
            Scenario::shared(format!("next_hop::{switching}"), &settings, 1500, other_node)
        })
        .into()
}

/// Bytes of a ping that takes more than one packet.
const LARGE: usize = 4000;
/// Ports of flows, which are shared out, and packets of each.
const FLOWS: std::ops::Range<u16> = 40_000..40_012;
const PACKETS: u8 = 3;
/// How long a packet and its reply may take, with a neighbour to find on the way.
const ROUND: Duration = Duration::from_secs(5);

/// Pod a1 of node1 reaches the remote subnet by node2, which forwards to the VPC's router.
fn other_node(lab: &Lab, _: Effort) -> Result<Outcome> {
    let servers = table::start_servers(&lab.topology)?;
    for family in Family::BOTH {
        let prefix = Subnet::REMOTE.prefix(family);
        let via = lab.topology.place("node2").address.of(family);
        let add = ["route", "add", &prefix, "router", "--via", &via.to_string()];
        lab.agents[0].netpath(&add)?;
        by_next_hop(lab, family, via).with_context(|| format!("{prefix} via {via}"))?;
        lab.agents[0].netpath(&["route", "del", &prefix])?;
        as_before(lab, family).with_context(|| format!("{prefix} without a route"))?;

        let router = Subnet::NODES.gateway().of(family).to_string();
        lab.agents[0].netpath(&[&add[..], &["--via", &router]].concat())?;
        by_both(lab, family, via).with_context(|| format!("{prefix} via {via} and {router}"))?;
        lab.agents[0].netpath(&["route", "del", &prefix])?;
    }
    drop(servers);
    Ok(Outcome::Passed)
}

fn by_next_hop(lab: &Lab, family: Family, via: IpAddr) -> Result<()> {
    let [pod, remote] = ["a1", "remote"].map(|name| lab.topology.place(name));
    let to = remote.address.of(family);
    let mut passing = Passing::watch(lab, pod, remote, family)?;

    // The first packet has to wait for the next hop's Ethernet address.
    let node = &lab.topology.place("node1").namespace;
    node.ip(&[format!("neigh flush to {via} dev {INTERFACE}")])?;
    let reply = pod.namespace.enter(|| Ok(Pinger::open(to)?.ping(56, ROUND)))?;
    reply.context("no reply to the first packet")?;
    passing.look()?;
    let Passing { came, went, .. } = passing;
    ensure!((came, went) == (1, 1), "of the first packet, {came} came and {went} went on");

    for proto in Proto::ALL {
        let answered = probe::probe(&pod.namespace, to, proto, Patience::EXPECTED)?;
        ensure!(answered, "no answer by {}", proto.name());
        passing.all_went_on().context(proto.name())?;
    }
    let answered = probe::ping_of(&pod.namespace, to, LARGE, Patience::EXPECTED)?;
    ensure!(answered, "no reply to {LARGE} bytes");
    passing.all_went_on().context("fragments")
}

/// Of two next hops, each flow takes the one that `netpath explain` says, with all its packets.
fn by_both(lab: &Lab, family: Family, via: IpAddr) -> Result<()> {
    let [pod, remote] = ["a1", "remote"].map(|name| lab.topology.place(name));
    let (from, to) = (pod.address.of(family), remote.address.of(family));
    let mut passing = Passing::watch(lab, pod, remote, family)?;
    let mut expected = 0;
    for port in FLOWS {
        let socket = pod.namespace.enter(|| Ok(UdpSocket::bind((from, port))?))?;
        socket.set_read_timeout(Some(ROUND))?;
        for number in 0..PACKETS {
            socket.send_to(&[number], (to, ECHO_PORT))?;
            socket.recv(&mut [0]).with_context(|| format!("packet {number} from port {port}"))?;
        }
        let words = [from, to].map(|address| address.to_string());
        let [source, destination] = [port, ECHO_PORT].map(|port| port.to_string());
        let ports = ["--proto", "udp", "--sport", &source, "--dport", &destination];
        let words = [&["explain", &words[0], &words[1]][..], &ports].concat();
        let explanation = lab.agents[0].netpath_json(&words)?;
        if explanation["verdict"]["next_hop"] == via.to_string() {
            expected += usize::from(PACKETS);
        }
    }
    passing.look()?;
    let all = FLOWS.len() * usize::from(PACKETS);
    ensure!((1..all).contains(&expected), "{expected} of {all} packets by one of two next hops");
    ensure!(passing.came == expected, "{} packets came, not {expected}", passing.came);
    Ok(())
}

/// Without the route nothing passes by the other node.
fn as_before(lab: &Lab, family: Family) -> Result<()> {
    let [pod, remote] = ["a1", "remote"].map(|name| lab.topology.place(name));
    let mut passing = Passing::watch(lab, pod, remote, family)?;
    let to = remote.address.of(family);
    let answered = probe::probe(&pod.namespace, to, Proto::Icmp, Patience::EXPECTED)?;
    ensure!(answered, "no reply");
    passing.look()?;
    ensure!(passing.came == 0, "{} packets still came to node2", passing.came);
    Ok(())
}

/// What node2 gets of a flow, and what it forwards.
struct Passing {
    wire: Wire,
    /// Where the header has the number of hops left, and the addresses, which follow each other.
    hops: usize,
    addresses: (usize, Vec<u8>),
    came: usize,
    went: usize,
}

impl Passing {
    fn watch(lab: &Lab, from: &Place, to: &Place, family: Family) -> Result<Self> {
        let wire = Wire::open(&lab.topology.place("node2").namespace, INTERFACE)?;
        let (from, to) = (from.address, to.address);
        // Behind 14 bytes of Ethernet.
        let (hops, addresses) = match family {
            Family::Ipv4 => (14 + 8, (14 + 12, [from.v4.octets(), to.v4.octets()].concat())),
            Family::Ipv6 => (14 + 7, (14 + 8, [from.v6.octets(), to.v6.octets()].concat())),
        };
        Ok(Self { wire, hops, addresses, came: 0, went: 0 })
    }

    /// Counts what was heard since the last look. A packet on its way out has a hop less.
    fn look(&mut self) -> Result<()> {
        let Self { wire, hops, addresses: (at, addresses), came, went } = self;
        let frames = wire.seen()?;
        for frame in
            frames.iter().filter(|f| f.get(*at..).is_some_and(|f| f.starts_with(addresses)))
        {
            match frame[*hops] {
                64 => *came += 1,
                63 => *went += 1,
                hops => anyhow::bail!("a packet with {hops} hops left"),
            }
        }
        Ok(())
    }

    /// Everything that came goes on; the end of a connection may be a moment behind.
    fn all_went_on(&mut self) -> Result<()> {
        let before = self.came;
        wait::until("all packets go on by node2", ROUND, || {
            self.look()?;
            Ok((self.came > before && self.came == self.went).then_some(()))
        })
    }
}
