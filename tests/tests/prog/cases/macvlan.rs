//! Endpoints with an Ethernet address of their own, beside those that share the parent's. (A parent
//! has children of one kind; that both are on parent 0 here makes no difference to a program.)

use std::net::IpAddr;

use netpath_common::{Hook, Mac};
use netpath_tests::program::frame::Ip;

use super::{Row, speaker::Speaker};
use crate::world::{Family, MACVLAN, MACVLAN2, PARENT, ROUTER};

const PARENTS: Mac = PARENT[0];

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows = packets(family);
    rows.extend(switched(family));
    rows.extend(questions(family));
    rows.extend(answers(family));
    rows
}

fn egress(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::Egress, name, frame)
}

fn packets(family: &Family) -> Vec<Row> {
    let Family { a, d, g, host, .. } = *family;
    let from = |to| Ip::tcp(g, to, 4000, 80).frame(ROUTER, MACVLAN);
    let wire = |to: Mac| Ip::tcp(family.elsewhere, g, 4000, 80).frame(to, ROUTER);
    let forged = Ip::tcp(g, a, 4000, 80).frame(ROUTER, PARENTS);
    let borrowed = Ip::tcp(a, g, 4000, 80).frame(ROUTER, MACVLAN);
    vec![
        egress("to a sibling", from(a)).by_pod().received(PARENTS).moves(&[
            "egress local endpoint",
            "g sent",
            "a received",
        ]),
        egress("to another parent", from(d)).by_pod().received(PARENT[1]).moves(&[
            "egress local endpoint",
            "g sent",
            "d received",
        ]),
        egress("from a sibling", Ip::tcp(a, g, 4000, 80).frame(ROUTER, PARENTS))
            .by_pod()
            .received(MACVLAN)
            .moves(&["egress local endpoint", "a sent", "g received"]),
        egress("to the node", from(host))
            .by_pod()
            .received(PARENTS)
            .moves(&["egress host host-address", "g sent"]),
        egress("to a prefix of the node", from(family.served))
            .by_pod()
            .received(PARENTS)
            .moves(&["egress host route", "g sent"]),
        egress("to the kernel path", from(family.kernel))
            .by_pod()
            .entered()
            .moves(&["egress kernel route", "g sent"]),
        egress("to elsewhere", from(family.elsewhere))
            .by_pod()
            .moves(&["egress router no-route", "g sent"]),
        egress("from the node", Ip::tcp(host, g, 4000, 80).frame(PARENTS, PARENTS))
            .received(MACVLAN)
            .moves(&["egress local endpoint", "g received"]),
        egress("by the parent's Ethernet address", forged)
            .by_pod()
            .dropped()
            .moves(&["egress drop source-mac"]),
        egress("a sibling by its Ethernet address", borrowed)
            .by_pod()
            .dropped()
            .moves(&["egress drop source-mac"]),
        Row::new(Hook::Ingress, "from the wire", wire(MACVLAN))
            .moves(&["ingress local endpoint", "g received"]),
        Row::new(Hook::Ingress, "from the wire to the parent's address", wire(PARENTS))
            .received(MACVLAN)
            .moves(&["ingress local endpoint", "g received"]),
    ]
}

/// What the driver switches comes to the parent's receive side. Native XDP, as parent 1 has, does not
/// see it; so what that sees is the wire's.
fn switched(family: &Family) -> Vec<Row> {
    let Family { a, d, g, h, host, .. } = *family;
    let row = |hook, name, from, to, mac| {
        Row::new(hook, name, Ip::tcp(from, to, 4000, 80).frame(PARENT[1], mac)).on_second()
    };
    vec![
        row(Hook::Ingress, "the driver to a sibling", h, d, MACVLAN2).moves(&[
            "ingress local endpoint of parent 1",
            "h sent",
            "d received",
        ]),
        row(Hook::Ingress, "the driver to the node", h, host, MACVLAN2)
            .moves(&["ingress host switched-in-driver of parent 1", "h sent"]),
        row(Hook::Ingress, "the driver by another address", h, d, MACVLAN)
            .dropped()
            .moves(&["ingress drop claims-local-address of parent 1"]),
        row(Hook::Ingress, "the driver from another parent's", g, d, MACVLAN)
            .dropped()
            .moves(&["ingress drop claims-local-address of parent 1"]),
        row(Hook::Xdp, "native XDP sees only the wire", h, d, MACVLAN2)
            .dropped()
            .moves(&["xdp drop claims-local-address of parent 1"]),
        Row::new(Hook::Ingress, "no driver switches", Ip::tcp(g, a, 1, 2).frame(PARENTS, MACVLAN))
            .dropped()
            .moves(&["ingress drop claims-local-address"]),
    ]
}

fn questions(family: &Family) -> Vec<Row> {
    let Family { a, d, g, host, .. } = *family;
    let v4 = g.is_ipv4();
    let (own, sibling) = (Speaker { v4, mac: MACVLAN }, Speaker { v4, mac: PARENTS });
    let asks = |name, target, at| {
        egress(name, own.question(g, target, MACVLAN)).by_pod().answered(own.answer(g, target, at))
    };
    vec![
        asks("asks for a sibling", a, PARENTS)
            .moves(&["egress local neighbour-answered", "g sent"]),
        asks("asks for another parent's", d, PARENTS)
            .moves(&["egress local neighbour-answered", "g sent"]),
        asks("asks for the node", host, PARENTS)
            .moves(&["egress host neighbour-answered", "g sent"]),
        egress("a sibling asks for it", sibling.question(a, g, PARENTS))
            .by_pod()
            .answered(sibling.answer(a, g, MACVLAN))
            .moves(&["egress local neighbour-answered", "a sent"]),
        egress("the node asks for it", sibling.question(host, g, PARENTS))
            .answered(sibling.answer(host, g, PARENTS))
            .moves(&["egress local neighbour-answered"]),
    ]
}

fn answers(family: &Family) -> Vec<Row> {
    let Family { a, g, host, .. } = *family;
    let (sibling, own, node) = ((a, PARENTS), (g, MACVLAN), (host, PARENTS));
    let speaker = Speaker { v4: g.is_ipv4(), mac: MACVLAN };
    let statement = |owner: (IpAddr, Mac), asker: (IpAddr, Mac)| {
        speaker.statement((asker.1, owner.1), owner.0, asker.0, owner.1)
    };
    vec![
        egress("answers a sibling", statement(own, sibling)).by_pod().received(PARENTS).moves(&[
            "egress local neighbour",
            "g sent",
            "a received",
        ]),
        egress("answers the node", statement(own, node))
            .by_pod()
            .received(PARENTS)
            .moves(&["egress host neighbour", "g sent"]),
        egress("is answered by a sibling", statement(sibling, own))
            .by_pod()
            .received(MACVLAN)
            .moves(&["egress local neighbour", "a sent", "g received"]),
    ]
}
