//! What belongs to flows that the host stack forwarded: fragments, and ICMP errors about their packets.

use std::net::IpAddr;

use netpath_common::{Hook, Mac, endpoint::DEVICE_MAC};
use netpath_tests::program::frame::Ip;

use super::Row;
use crate::world::{Family, PARENT, ROUTER, VETH};

const OWN: Mac = PARENT[0];

/// Ports of their own: recorded flows change what later packets meet.
const HERE: u16 = 30_001;
const THERE: u16 = 8_081;

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows = fragments(family);
    rows.extend(about_what_an_endpoint_sent(family));
    rows.extend(from_an_endpoint(family));
    rows.extend(of_a_device(family));
    rows.extend(shapes(family));
    rows
}

/// Destination unreachable, or packet too big.
fn error(source: IpAddr, destination: IpAddr, about: &Ip) -> Ip {
    let kind = if source.is_ipv4() { 3 } else { 2 };
    Ip::error(source, destination, kind, &about.bytes())
}

fn flow(source: IpAddr, destination: IpAddr) -> Ip {
    Ip::tcp(source, destination, HERE, THERE)
}

fn answer(source: IpAddr, destination: IpAddr) -> Ip {
    Ip::tcp(source, destination, THERE, HERE)
}

/// A small question gets a large answer.
fn fragments(family: &Family) -> Vec<Row> {
    let Family { b, served, routed, .. } = *family;
    let ingress = |name, packet: Ip| Row::new(Hook::Ingress, name, packet.frame(OWN, ROUTER));
    let entered = |name, packet| ingress(name, packet).entered().moves(&["ingress kernel flow"]);
    let direct =
        |name, packet| ingress(name, packet).moves(&["ingress local endpoint", "b received"]);
    let part = |offset, more| Ip::udp(routed, b, THERE, HERE).fragment(offset, more);
    vec![
        direct("a fragment of no flow", part(0, true)),
        Row::new(
            Hook::Egress,
            "a question forwarded for an endpoint",
            Ip::udp(b, routed, HERE, THERE).frame(ROUTER, OWN),
        )
        .forwarded()
        .moves(&["egress router stack-routed"]),
        entered("the first fragment", part(0, true)),
        entered("a later fragment", part(2, true)),
        entered("the last fragment", part(2, false)),
        entered("a first fragment of another flow", Ip::udp(routed, b, 1, 2).fragment(0, true)),
        direct("another flow", Ip::udp(routed, b, 1, 2)),
        direct("a fragment of another protocol", Ip::tcp(routed, b, 1, 2).fragment(2, true)),
        direct("a fragment of another sender", Ip::udp(served, b, 1, 2).fragment(2, true)),
    ]
}

/// The router's errors about what the host stack forwarded for endpoint b to elsewhere.
fn about_what_an_endpoint_sent(family: &Family) -> Vec<Row> {
    let Family { a, b, routed, elsewhere, .. } = *family;
    let ingress = |name, packet: Ip| Row::new(Hook::Ingress, name, packet.frame(OWN, ROUTER));
    let entered = |name, packet| ingress(name, packet).entered().moves(&["ingress kernel flow"]);
    let direct =
        |name, packet| ingress(name, packet).moves(&["ingress local endpoint", "b received"]);
    let about = flow(b, elsewhere);
    let (time, parameter) = if b.is_ipv4() { (11, 12) } else { (3, 4) };
    let of_kind = |kind| Ip::error(routed, b, kind, &about.bytes());
    vec![
        direct("about no flow", error(routed, b, &about)),
        Row::new(Hook::Egress, "forwarded for an endpoint", about.frame(ROUTER, OWN))
            .forwarded()
            .moves(&["egress router stack-routed"]),
        entered("an answer of the receiver", answer(elsewhere, b)),
        entered("too big for a router", error(routed, b, &about)),
        entered("unreachable by the receiver", error(elsewhere, b, &about)),
        entered("too old", of_kind(time)),
        entered("a wrong parameter", of_kind(parameter)),
        direct("no error", of_kind(5)),
        direct("about another flow", error(routed, b, &Ip::tcp(b, elsewhere, HERE, 81))),
        direct("about another protocol", error(routed, b, &Ip::udp(b, elsewhere, HERE, THERE))),
        direct("about another receiver", error(routed, b, &flow(b, routed))),
        direct("about the other direction", error(routed, b, &answer(elsewhere, b))),
        ingress("to another endpoint", error(routed, a, &about))
            .moves(&["ingress local endpoint", "a received"]),
    ]
}

/// Endpoint b's errors about what the host stack forwarded to it.
fn from_an_endpoint(family: &Family) -> Vec<Row> {
    let Family { b, elsewhere, .. } = *family;
    let egress = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN));
    let datagram = Ip::udp(elsewhere, b, HERE, THERE);
    vec![
        egress("forwarded to an endpoint", datagram.clone())
            .forwarded()
            .received(OWN)
            .moves(&["egress local endpoint", "b received"]),
        egress("by an endpoint", error(b, elsewhere, &datagram))
            .by_pod()
            .entered()
            .moves(&["egress kernel flow", "b sent"]),
        egress(
            "by an endpoint about another flow",
            error(b, elsewhere, &Ip::udp(elsewhere, b, 1, 2)),
        )
        .by_pod()
        .moves(&["egress router no-route", "b sent"]),
    ]
}

/// Errors to and from endpoint p, which has a device of its own.
fn of_a_device(family: &Family) -> Vec<Row> {
    let Family { p, routed, elsewhere, .. } = *family;
    let about = Ip::udp(p, elsewhere, HERE, THERE);
    let datagram = Ip::udp(elsewhere, p, THERE, HERE);
    vec![
        Row::new(Hook::ToEndpoint, "forwarded to a device", datagram.frame(VETH[0], DEVICE_MAC))
            .forwarded()
            .moves(&["to-endpoint local stack-routed", "p received"]),
        Row::new(
            Hook::FromEndpoint,
            "by a device",
            error(p, elsewhere, &datagram).frame(DEVICE_MAC, VETH[0]),
        )
        .moves(&["from-endpoint kernel flow", "p sent"]),
        Row::new(Hook::Egress, "forwarded for a device", about.frame(ROUTER, OWN))
            .forwarded()
            .moves(&["egress router stack-routed"]),
        Row::new(Hook::Ingress, "to a device", error(routed, p, &about).frame(OWN, ROUTER))
            .moves(&["ingress kernel flow"]),
    ]
}

/// What the quoted packet can be like.
fn shapes(family: &Family) -> Vec<Row> {
    let Family { b, routed, elsewhere, .. } = *family;
    let ingress = |name, packet: Ip| Row::new(Hook::Ingress, name, packet.frame(OWN, ROUTER));
    let entered = |name, packet| ingress(name, packet).entered().moves(&["ingress kernel flow"]);
    let direct =
        |name, packet| ingress(name, packet).moves(&["ingress local endpoint", "b received"]);
    let ping = Ip::echo(b, elsewhere, HERE, false);
    let quoting = |about: &Ip, without: usize| {
        let bytes = about.bytes();
        Ip::error(routed, b, if b.is_ipv4() { 3 } else { 2 }, &bytes[..bytes.len() - without])
    };
    let about = flow(b, elsewhere);
    vec![
        Row::new(Hook::Egress, "an echo forwarded for an endpoint", ping.frame(ROUTER, OWN))
            .forwarded()
            .moves(&["egress router stack-routed"]),
        entered("about an echo", quoting(&ping, 0)),
        // Eight bytes behind the header are enough: the oldest routers quote no more.
        entered("about the first bytes of a segment", quoting(&about, 12)),
        entered("about the ports alone", quoting(&about, 16)),
        // As about a fragment.
        entered("about half of the ports", quoting(&about, 17)),
        direct("about nothing", Ip::error(routed, b, if b.is_ipv4() { 3 } else { 2 }, &[])),
        entered("about a first fragment", quoting(&flow(b, elsewhere).fragment(0, true), 0)),
        entered("about options", quoting(&flow(b, elsewhere).options(3), 0)),
    ]
}
