//! Frames by which someone speaks for someone else, and the reason each must be dropped for.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::Command,
};

use anyhow::{Context as _, Result};
use etherparse::{ArpOperation, VlanId};

use super::{
    address::{Dual, SERVICE, Subnet},
    command,
    frame::{self, BROADCAST, Ends, Frame, Mac},
    namespace::Namespace,
    topology::{INTERFACE, Topology},
};

/// A frame that must not arrive.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// What it pretends.
    pub name: &'static str,
    /// The counter that must move.
    pub reason: &'static str,
    /// The frame.
    pub frame: Frame,
}

/// Who is spoken for.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Node1's parent, and every pod on it.
    node_mac: Mac,
    /// The router.
    router_mac: Mac,
    /// The pod that forges, or that is lied to.
    pod: Dual,
    /// Another pod on the same node.
    sibling: Dual,
    /// The node.
    node: Dual,
    /// The host behind the router.
    remote: Dual,
    /// The router's address in the pod's subnet.
    gateway: Dual,
}

/// An address that nobody has.
fn nobody() -> Dual {
    Subnet::A.host(99)
}

/// An Ethernet address that nobody has.
const STRANGER: Mac = [0x02, 0, 0, 0, 0, 0x99];
/// All nodes, and its Ethernet address (RFC 4291, RFC 2464).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

// Types of ICMPv6 (RFC 4861).
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// Flags of an advertisement: override.
const OVERRIDE: [u8; 4] = [0x20, 0, 0, 0];
// Options of neighbour discovery.
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;

impl Cast {
    /// The cast of a sandbox: a1 forges or is lied to.
    pub fn of(topology: &Topology) -> Result<Self> {
        let address = |name| topology.place(name).address;
        Ok(Self {
            node_mac: mac(&topology.place("node1").namespace, INTERFACE)?,
            router_mac: mac(&topology.router, "vpc")?,
            pod: address("a1"),
            sibling: address("a2"),
            node: address("node1"),
            remote: address("remote"),
            gateway: Subnet::A.gateway(),
        })
    }

    /// A pod's packet to the remote host by the router.
    fn outward(&self, source: impl Into<IpAddr>) -> Ends {
        let source = source.into();
        let destination = like(source, self.remote);
        Ends { source_mac: self.node_mac, destination_mac: self.router_mac, source, destination }
    }

    /// A packet from the wire to a pod.
    fn inward(&self, source: impl Into<IpAddr>) -> Ends {
        let source = source.into();
        let destination = like(source, self.pod);
        Ends { source_mac: self.router_mac, destination_mac: self.node_mac, source, destination }
    }
}

/// The address of the same family as `other`.
fn like(other: IpAddr, of: Dual) -> IpAddr {
    if other.is_ipv4() { of.v4.into() } else { of.v6.into() }
}

/// What a pod may try.
pub fn by_pod(cast: &Cast) -> Result<Vec<Forgery>> {
    let mut forgeries = by_pod_ip(cast)?;
    forgeries.extend(by_pod_as_neighbour(cast)?);
    forgeries.extend(by_pod_arp(cast));
    forgeries.extend(by_pod_discovery(cast)?);
    Ok(forgeries)
}

fn by_pod_ip(cast: &Cast) -> Result<Vec<Forgery>> {
    let mut forgeries = Vec::new();
    let mut add = |name, reason, ends: &Ends| {
        forgeries.push(Forgery { name, reason, frame: frame::udp(ends, name)? });
        anyhow::Ok(())
    };
    let owned = "source-not-owned";
    add("IPv4 source of nobody", owned, &cast.outward(nobody().v4))?;
    add("IPv6 source of nobody", owned, &cast.outward(nobody().v6))?;
    add("IPv4 source of the remote host", owned, &to_host(cast, cast.remote.v4))?;
    add("IPv6 source of the remote host", owned, &to_host(cast, cast.remote.v6))?;
    add("IPv4 source of the gateway", owned, &to_host(cast, cast.gateway.v4))?;
    add("IPv6 source of the gateway", owned, &to_host(cast, cast.gateway.v6))?;
    let group = Ipv4Addr::new(224, 0, 0, 1);
    add("IPv4 group as source", "source-invalid", &cast.outward(group))?;
    add("IPv6 group as source", "source-invalid", &cast.outward(ALL_NODES))?;
    for (name, source) in [
        ("own IPv4 address from a foreign MAC", IpAddr::from(cast.pod.v4)),
        ("own IPv6 address from a foreign MAC", cast.pod.v6.into()),
    ] {
        let ends = Ends { source_mac: STRANGER, ..cast.outward(source) };
        add(name, "source-mac", &ends)?;
    }
    let vlan = VlanId::try_new(7).context("a VLAN")?;
    for (name, reason, source) in [
        ("VLAN tag, IPv4 source of nobody", owned, IpAddr::from(nobody().v4)),
        ("VLAN tag, own IPv6 address", "tagged-endpoint", cast.pod.v6.into()),
    ] {
        let frame = frame::udp(&cast.outward(source), name)?.tagged(vlan);
        forgeries.push(Forgery { name, reason, frame });
    }
    Ok(forgeries)
}

/// In the name of a sibling or of the node, with whom the pod shares the Ethernet address: only the
/// sender's socket tells them apart.
fn by_pod_as_neighbour(cast: &Cast) -> Result<Vec<Forgery>> {
    let Cast { node_mac, router_mac, sibling, node, gateway, remote: _, pod: _ } = *cast;
    let reason = "source-namespace";
    let mut forgeries = Vec::new();
    for (name, ends) in [
        ("IPv4 source of a sibling", cast.outward(sibling.v4)),
        ("IPv6 source of a sibling", cast.outward(sibling.v6)),
        ("IPv4 source of a sibling, to the node", to_host(cast, sibling.v4)),
        ("IPv6 source of a sibling, to the node", to_host(cast, sibling.v6)),
        ("IPv4 source of the node", cast.outward(node.v4)),
        ("IPv6 source of the node", cast.outward(node.v6)),
        ("IPv4 source of a service of the node", cast.outward(SERVICE.v4)),
        ("IPv6 source of a service of the node", cast.outward(SERVICE.v6)),
    ] {
        forgeries.push(Forgery { name, reason, frame: frame::udp(&ends, name)? });
    }
    for (name, operation, sender) in [
        ("ARP reply for a sibling", ArpOperation::REPLY, sibling.v4),
        ("ARP request in a sibling's name", ArpOperation::REQUEST, sibling.v4),
        ("ARP reply for the node", ArpOperation::REPLY, node.v4),
    ] {
        let arp = frame::arp_says(operation, node_mac, sender, gateway.v4);
        forgeries.push(Forgery { name, reason, frame: frame::arp(node_mac, router_mac, &arp) });
    }
    for (name, source) in [("NA for a sibling", sibling.v6), ("NA for the node", node.v6)] {
        let ends = Ends {
            source_mac: node_mac,
            destination_mac: router_mac,
            source: source.into(),
            destination: gateway.v6.into(),
        };
        let body = frame::target(source, TARGET_LINK, node_mac);
        let frame = frame::discovery(&ends, ADVERTISEMENT, OVERRIDE, &body)?;
        forgeries.push(Forgery { name, reason, frame });
    }
    Ok(forgeries)
}

/// A pod's packet to its node's own address.
fn to_host(cast: &Cast, source: impl Into<IpAddr>) -> Ends {
    let source = source.into();
    Ends {
        destination_mac: cast.node_mac,
        destination: like(source, cast.node),
        ..cast.outward(source)
    }
}

fn by_pod_arp(cast: &Cast) -> Vec<Forgery> {
    let Cast { node_mac, router_mac, pod, gateway, remote: _, sibling: _, node: _ } = *cast;
    let (request, reply) = (ArpOperation::REQUEST, ArpOperation::REPLY);
    let says = |name, to, operation, mac, sender: Ipv4Addr, target| {
        let arp = frame::arp_says(operation, mac, sender, target);
        let reason = if sender == pod.v4 { "neighbour-forged" } else { "source-not-owned" };
        Forgery { name, reason, frame: frame::arp(node_mac, to, &arp) }
    };
    let other = nobody().v4;
    vec![
        says("ARP reply for another", router_mac, reply, node_mac, other, gateway.v4),
        says("ARP reply for the gateway", BROADCAST, reply, node_mac, gateway.v4, other),
        says("gratuitous ARP reply for another", BROADCAST, reply, node_mac, other, other),
        says("gratuitous ARP request for another", BROADCAST, request, node_mac, other, other),
        says("ARP request in another's name", BROADCAST, request, node_mac, other, gateway.v4),
        says("ARP reply with a foreign MAC", router_mac, reply, STRANGER, pod.v4, gateway.v4),
        says("ARP request with a foreign MAC", BROADCAST, request, STRANGER, pod.v4, gateway.v4),
    ]
}

fn by_pod_discovery(cast: &Cast) -> Result<Vec<Forgery>> {
    let Cast { node_mac, router_mac, pod, gateway, remote: _, sibling: _, node: _ } = *cast;
    let mut forgeries = Vec::new();
    let mut add = |name, reason, ends: Ends, kind, flags, body: &[u8]| {
        let frame = frame::discovery(&ends, kind, flags, body)?;
        forgeries.push(Forgery { name, reason, frame });
        anyhow::Ok(())
    };
    let all = |source: Ipv6Addr| Ends {
        source_mac: node_mac,
        destination_mac: ALL_NODES_MAC,
        source: source.into(),
        destination: ALL_NODES.into(),
    };
    let router = |source: Ipv6Addr| Ends {
        destination_mac: router_mac,
        destination: gateway.v6.into(),
        ..all(source)
    };
    let (other, none) = (nobody().v6, [0; 4]);
    let forged = "neighbour-forged";
    let body = frame::target(other, TARGET_LINK, node_mac);
    add("NA for another", forged, router(pod.v6), ADVERTISEMENT, OVERRIDE, &body)?;
    add("unsolicited NA for another", forged, all(pod.v6), ADVERTISEMENT, OVERRIDE, &body)?;
    let body = frame::target(gateway.v6, TARGET_LINK, node_mac);
    add("NA for the gateway", forged, all(pod.v6), ADVERTISEMENT, OVERRIDE, &body)?;
    let body = frame::target(pod.v6, TARGET_LINK, STRANGER);
    add("NA with a foreign MAC", forged, router(pod.v6), ADVERTISEMENT, OVERRIDE, &body)?;
    let body = frame::target(gateway.v6, SOURCE_LINK, STRANGER);
    add("NS with a foreign MAC", forged, router(pod.v6), SOLICITATION, none, &body)?;
    let body = frame::target(gateway.v6, SOURCE_LINK, node_mac);
    let reason = "source-not-owned";
    add("NS in another's name", reason, router(other), SOLICITATION, none, &body)?;
    let lifetime = [64, 0, 7, 8];
    let body = [[0; 8].as_slice(), &[SOURCE_LINK, 1], &node_mac].concat();
    add("RA", "router-forged", all(pod.v6), ROUTER_ADVERTISEMENT, lifetime, &body)?;
    let body = [SERVICE.v6.octets(), other.octets()].concat();
    add("redirect", "router-forged", all(pod.v6), REDIRECT, none, &body)?;
    Ok(forgeries)
}

/// What may come from the wire: packets in the name of a pod or of the node itself.
pub fn by_wire(cast: &Cast) -> Result<Vec<Forgery>> {
    [
        ("wire: IPv4 source of a local pod", IpAddr::from(cast.sibling.v4)),
        ("wire: IPv6 source of a local pod", cast.sibling.v6.into()),
        ("wire: IPv4 source of the pod itself", cast.pod.v4.into()),
        ("wire: IPv6 source of the pod itself", cast.pod.v6.into()),
        ("wire: IPv4 source of the node", cast.node.v4.into()),
        ("wire: IPv6 source of the node", cast.node.v6.into()),
    ]
    .into_iter()
    .map(|(name, source)| {
        let frame = frame::udp(&cast.inward(source), name)?;
        Ok(Forgery { name, reason: "claims-local-address", frame })
    })
    .collect()
}

/// The Ethernet address of an interface.
fn mac(namespace: &Namespace, interface: &str) -> Result<Mac> {
    let mut ip = Command::new("ip");
    let text =
        command::run(ip.args(["-n", namespace.name(), "-o", "link", "show", "dev", interface]))?;
    let mut words = text.split_whitespace().skip_while(|&word| word != "link/ether");
    let address = words.nth(1).with_context(|| format!("no link/ether in {text:?}"))?;
    let bytes = address.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().context("read an Ethernet address")?;
    Mac::try_from(bytes).ok().with_context(|| format!("{address:?} is no Ethernet address"))
}
