//! Packets to Services, and what answers them.

use std::net::IpAddr;

use netpath_common::{Hook, Mac, endpoint::DEVICE_MAC};
use netpath_tests::program::frame::Ip;

use super::Row;
use crate::world::{
    Family, PARENT, ROUTER, VETH,
    services::{
        BACKEND, FOR_ROUTED, NODE_TO_B, TO_A, TO_B, TO_ELSEWHERE, TO_F, TO_HOST, TO_NOBODY, TO_P,
        TO_Q,
    },
};

const OWN: Mac = PARENT[0];
/// A port of clients.
const HERE: u16 = 40_001;
/// A port that no Service has.
const NONE: u16 = 899;

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows = from_endpoints(family);
    rows.extend(by_devices(family));
    rows.extend(by_loopback(family));
    rows.extend(by_exclusive(family));
    rows.extend(from_the_node(family));
    rows.extend(from_the_wire(family));
    rows.extend(refused(family));
    rows
}

fn tcp(source: IpAddr, destination: IpAddr, from: u16, to: u16) -> Ip {
    Ip::tcp(source, destination, from, to).summed()
}

fn udp(source: IpAddr, destination: IpAddr, from: u16, to: u16) -> Ip {
    Ip::udp(source, destination, from, to).summed()
}

/// What ipvlan endpoints send, and are answered.
fn from_endpoints(family: &Family) -> Vec<Row> {
    let Family { a, b, host, elsewhere, vip, .. } = *family;
    let sent = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN)).by_pod();
    vec![
        sent("to an endpoint's Service", tcp(a, vip, HERE, TO_B))
            .becoming(tcp(a, b, HERE, BACKEND).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "a sent", "b received"]),
        sent("again", tcp(a, vip, HERE, TO_B))
            .becoming(tcp(a, b, HERE, BACKEND).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "a sent", "b received"]),
        sent("its answer", tcp(b, a, BACKEND, HERE))
            .becoming(tcp(vip, a, TO_B, HERE).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "b sent", "a received"]),
        sent("the same by UDP", udp(a, vip, HERE, TO_B))
            .becoming(udp(a, b, HERE, BACKEND).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "a sent", "b received"]),
        sent("its answer by UDP", udp(b, a, BACKEND, HERE))
            .becoming(udp(vip, a, TO_B, HERE).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "b sent", "a received"]),
        sent("what is no answer", udp(b, a, BACKEND, HERE + 1)).received(OWN).moves(&[
            "egress local endpoint",
            "b sent",
            "a received",
        ]),
        sent("to a Service elsewhere", tcp(a, vip, HERE, TO_ELSEWHERE))
            .becoming(tcp(a, elsewhere, HERE, BACKEND).frame(ROUTER, OWN))
            .sent_by_parent()
            .moves(&["egress router service", "a sent"]),
        Row::new(
            Hook::Ingress,
            "its answer from the wire",
            tcp(elsewhere, a, BACKEND, HERE).frame(OWN, ROUTER),
        )
        .becoming(tcp(vip, a, TO_ELSEWHERE, HERE).frame(OWN, ROUTER))
        .moves(&["ingress local service", "a received"]),
        sent("to a Service of the node", udp(a, vip, HERE, TO_HOST))
            .becoming(udp(a, host, HERE, BACKEND).frame(ROUTER, OWN))
            .entered()
            .moves(&["egress kernel service", "a sent"]),
        Row::new(
            Hook::Egress,
            "its answer by the node",
            udp(host, a, BACKEND, HERE).frame(ROUTER, OWN),
        )
        .becoming(udp(vip, a, TO_HOST, HERE).frame(ROUTER, OWN))
        .received(OWN)
        .moves(&["egress local service", "a received"]),
        sent("to a node port", tcp(a, host, HERE + 5, NODE_TO_B))
            .becoming(tcp(a, b, HERE + 5, BACKEND).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "a sent", "b received"]),
    ]
}

/// Endpoints with a device of their own: p, and q which the host stack carries.
fn by_devices(family: &Family) -> Vec<Row> {
    let Family { a, p, q, vip, .. } = *family;
    let sent = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN)).by_pod();
    let by_p =
        |name, packet: Ip| Row::new(Hook::FromEndpoint, name, packet.frame(DEVICE_MAC, VETH[0]));
    vec![
        sent("to a Service behind a device", udp(a, vip, HERE, TO_P))
            .becoming(udp(a, p, HERE, BACKEND).frame(ROUTER, OWN))
            .by_device(VETH[0], netpath_common::MARK_REDIRECTED)
            .moves(&["egress local service", "a sent", "p received"]),
        by_p("its answer by a device", udp(p, a, BACKEND, HERE))
            .becoming(udp(vip, a, TO_P, HERE).frame(DEVICE_MAC, VETH[0]))
            .received(OWN)
            .moves(&["from-endpoint local service", "p sent", "a received"]),
        by_p("to a Service", udp(p, vip, HERE, TO_A))
            .becoming(udp(p, a, HERE, BACKEND).frame(DEVICE_MAC, VETH[0]))
            .received(OWN)
            .moves(&["from-endpoint local service", "p sent", "a received"]),
        sent("its answer to a device", udp(a, p, BACKEND, HERE))
            .becoming(udp(vip, p, TO_A, HERE).frame(ROUTER, OWN))
            .by_device(VETH[0], netpath_common::MARK_REDIRECTED)
            .moves(&["egress local service", "a sent", "p received"]),
        sent("to a Service that the stack carries", udp(a, vip, HERE, TO_Q))
            .becoming(udp(a, q, HERE, BACKEND).frame(ROUTER, OWN))
            .entered()
            .moves(&["egress kernel service", "a sent", "q received"]),
    ]
}

/// Endpoint x, whose NIC leads past the node: not past what the node itself answers.
fn by_exclusive(family: &Family) -> Vec<Row> {
    let Family { x, host, vip, .. } = *family;
    let asked = udp(x, vip, HERE, TO_HOST).frame(ROUTER, OWN);
    let answered = udp(host, x, BACKEND, HERE).frame(VETH[1], DEVICE_MAC);
    vec![
        Row::new(Hook::Egress, "by the stack to a Service of the node", asked)
            .forwarded()
            .becoming(udp(x, host, HERE, BACKEND).frame(ROUTER, OWN))
            .entered()
            .moves(&["egress kernel service"]),
        Row::new(Hook::ToEndpoint, "its answer by the device of x", answered)
            .on_second()
            .becoming(udp(vip, x, TO_HOST, HERE).frame(VETH[1], DEVICE_MAC))
            .moves(&["to-endpoint local service of nobody", "x received"]),
    ]
}

/// What endpoint l, whose packets the host stack routes, sends to the node's addresses.
fn by_loopback(family: &Family) -> Vec<Row> {
    let Family { a, b, l, host, .. } = *family;
    let nobody = Mac::new([0; 6]);
    let sent = |name, packet: Ip| Row::new(Hook::Loopback, name, packet.frame(nobody, nobody));
    vec![
        sent("by the stack to a node port", tcp(l, host, HERE, NODE_TO_B))
            .becoming(tcp(l, b, HERE, BACKEND).frame(nobody, nobody))
            .received(OWN)
            .moves(&["loopback local service", "l sent", "b received"]),
        Row::new(Hook::Egress, "its answer by egress", tcp(b, l, BACKEND, HERE).frame(ROUTER, OWN))
            .by_pod()
            .becoming(tcp(host, l, NODE_TO_B, HERE).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "b sent", "l received"]),
        sent("by the stack to the node", tcp(l, host, HERE, NONE)),
        sent("by another to a node port", tcp(a, host, HERE, NODE_TO_B)),
        sent("by the node to itself", tcp(host, host, HERE, NODE_TO_B)),
    ]
}

/// What the node's own processes send, whose sockets are not translated.
fn from_the_node(family: &Family) -> Vec<Row> {
    let Family { b, host, elsewhere, vip, .. } = *family;
    let sent = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN));
    vec![
        sent("by the node", tcp(host, vip, HERE, TO_B))
            .becoming(tcp(host, b, HERE, BACKEND).frame(ROUTER, OWN))
            .received(OWN)
            .moves(&["egress local service", "b received"]),
        sent("its answer to the node", tcp(b, host, BACKEND, HERE))
            .by_pod()
            .becoming(tcp(vip, host, TO_B, HERE).frame(ROUTER, OWN))
            .entered()
            .moves(&["egress kernel service", "b sent"]),
        sent("by the node to elsewhere", tcp(host, vip, HERE, TO_ELSEWHERE))
            .becoming(tcp(host, elsewhere, HERE, BACKEND).frame(ROUTER, OWN))
            .sent_by_parent()
            .moves(&["egress router service"]),
        Row::new(
            Hook::Ingress,
            "its answer from elsewhere to the node",
            tcp(elsewhere, host, BACKEND, HERE).frame(OWN, ROUTER),
        )
        .becoming(tcp(vip, host, TO_ELSEWHERE, HERE).frame(OWN, ROUTER))
        .entered()
        .moves(&["ingress kernel service"]),
    ]
}

/// Node ports and external addresses.
fn from_the_wire(family: &Family) -> Vec<Row> {
    let Family { b, f, host, elsewhere, external, routed, .. } = *family;
    let heard = |name, packet: Ip| Row::new(Hook::Ingress, name, packet.frame(OWN, ROUTER));
    let sent = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN)).by_pod();
    vec![
        heard("to a node port", tcp(elsewhere, host, HERE, NODE_TO_B))
            .becoming(tcp(elsewhere, b, HERE, BACKEND).frame(OWN, ROUTER))
            .moves(&["ingress local service", "b received"]),
        sent("the answer of a node port", tcp(b, elsewhere, BACKEND, HERE))
            .becoming(tcp(host, elsewhere, NODE_TO_B, HERE).frame(ROUTER, OWN))
            .moves(&["egress router service", "b sent"]),
        heard("to a port of the node", tcp(elsewhere, host, HERE, 22))
            .moves(&["ingress host host-address"]),
        heard("to a node port of nobody", tcp(elsewhere, host, HERE, NODE_TO_B + 100))
            .moves(&["ingress host host-address"]),
        heard("to an external address", tcp(elsewhere, external, HERE, TO_F))
            .becoming(tcp(elsewhere, f, HERE, BACKEND).frame(OWN, ROUTER))
            .received(PARENT[1])
            .moves(&["ingress local service", "f received"]),
        heard("from an admitted prefix", udp(routed, external, HERE, FOR_ROUTED))
            .becoming(udp(routed, b, HERE, BACKEND).frame(OWN, ROUTER))
            .moves(&["ingress local service", "b received"]),
        heard("from another one", udp(elsewhere, external, HERE, FOR_ROUTED))
            .dropped()
            .moves(&["ingress drop service-source"]),
        heard("of a Service's address, which may be another node's", udp(external, host, HERE, 22))
            .moves(&["ingress host host-address"]),
        heard("to another port of such an address", udp(elsewhere, external, HERE, NONE))
            .moves(&["ingress kernel transit"]),
    ]
}

/// What nobody answers.
fn refused(family: &Family) -> Vec<Row> {
    let Family { a, elsewhere, external, vip, .. } = *family;
    let sent = |name, packet: Ip| Row::new(Hook::Egress, name, packet.frame(ROUTER, OWN)).by_pod();
    vec![
        sent("to a port without a Service", tcp(a, vip, HERE, NONE))
            .dropped()
            .moves(&["egress drop no-service", "a sent"]),
        sent("to another port of an address that may be somebody's", tcp(a, external, HERE, NONE))
            .moves(&["egress router no-route", "a sent"]),
        sent("an echo", Ip::echo(a, vip, 7, false).summed())
            .dropped()
            .moves(&["egress drop no-service", "a sent"]),
        sent("to a Service without backends", tcp(a, vip, HERE, TO_NOBODY))
            .dropped()
            .moves(&["egress drop no-backend", "a sent"]),
        Row::new(
            Hook::Ingress,
            "an inner Service from the wire",
            tcp(elsewhere, vip, HERE, TO_B).frame(OWN, ROUTER),
        )
        .dropped()
        .moves(&["ingress drop no-service"]),
        sent("in the name of a Service", tcp(vip, elsewhere, TO_B, HERE))
            .dropped()
            .moves(&["egress drop source-namespace"]),
    ]
}
