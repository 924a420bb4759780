//! What children, the node and the host stack send.

use netpath_common::{Hook, MARK_REDIRECTED, Mac};
use netpath_tests::program::frame::{self, Ip};

use super::Row;
use crate::world::{Family, PARENT, ROUTER, STRANGER};

const OWN: Mac = PARENT[0];

fn row(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::Egress, name, frame)
}

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows: Vec<_> = from_endpoints(family).into_iter().map(Row::by_pod).collect();
    rows.extend(from_the_stack(family));
    rows.extend(forged(family));
    rows.extend(of_another_namespace(family));
    rows.extend(shapes(family));
    rows
}

fn from_endpoints(family: &Family) -> Vec<Row> {
    let Family { a, b, c, d, host, service, .. } = *family;
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(ROUTER, OWN);
    vec![
        row("endpoint to sibling", Ip::tcp(a, b, 4000, 80).frame(OWN, OWN)).received(OWN).moves(&[
            "egress local endpoint",
            "a sent",
            "b received",
        ]),
        row("endpoint to sibling by udp", Ip::udp(a, b, 4000, 53).frame(OWN, OWN))
            .received(OWN)
            .moves(&["egress local endpoint", "a sent", "b received"]),
        row("endpoint to sibling by icmp", Ip::echo(a, b, 7, false).frame(OWN, OWN))
            .received(OWN)
            .moves(&["egress local endpoint", "a sent", "b received"]),
        row("endpoint to sibling of another subnet by the router", tcp(a, c))
            .received(OWN)
            .moves(&["egress local endpoint", "a sent", "c received"]),
        row("endpoint to endpoint on another parent", tcp(a, d)).received(PARENT[1]).moves(&[
            "egress local endpoint",
            "a sent",
            "d received",
        ]),
        row("endpoint to itself", tcp(a, a)).received(OWN).moves(&[
            "egress local endpoint",
            "a sent",
            "a received",
        ]),
        row("endpoint to the node", tcp(a, host))
            .received(OWN)
            .moves(&["egress host host-address", "a sent"]),
        row("endpoint to a service of the node", tcp(a, service))
            .received(OWN)
            .moves(&["egress host host-address", "a sent"]),
        row("endpoint to a prefix of the node", tcp(a, family.served))
            .received(OWN)
            .moves(&["egress host route", "a sent"]),
        row("endpoint to the kernel path", tcp(a, family.kernel))
            .entered()
            .moves(&["egress kernel route", "a sent"]),
        row("endpoint to the kernel path loses its mark", tcp(a, family.kernel))
            .marked(0x4000)
            .entered()
            .moves(&["egress kernel route", "a sent"]),
        row("endpoint to a routed prefix", tcp(a, family.routed))
            .moves(&["egress router route", "a sent"]),
        row("endpoint to a prefix with a next hop", tcp(a, family.via))
            .redirected()
            .moves(&["egress router route", "a sent"]),
        row("endpoint to elsewhere", tcp(a, family.elsewhere))
            .moves(&["egress router no-route", "a sent"]),
        row("endpoint to elsewhere keeps its mark", tcp(a, family.elsewhere))
            .marked(9)
            .moves(&["egress router no-route", "a sent"]),
        row("endpoint to a dropped prefix", tcp(a, family.dropped))
            .dropped()
            .moves(&["egress drop blackhole", "a sent"]),
        row("endpoint to a local prefix without endpoint", tcp(a, family.unassigned))
            .dropped()
            .moves(&["egress drop no-endpoint", "a sent"]),
        row("own table drops a prefix", tcp(c, family.dropped_for_c))
            .dropped()
            .moves(&["egress drop blackhole", "c sent"]),
        row("own table is not that of others", tcp(a, family.dropped_for_c))
            .moves(&["egress router no-route", "a sent"]),
        row("own table falls back to main", tcp(c, family.kernel))
            .entered()
            .moves(&["egress kernel route", "c sent"]),
        row("full-length prefix of the own table overrides an endpoint", tcp(c, b))
            .dropped()
            .moves(&["egress drop blackhole", "c sent"]),
        row("endpoint to a group", Ip::udp(a, family.group, 5353, 5353).frame(GROUP, OWN))
            .moves(&["egress router multicast", "a sent"]),
    ]
}

/// Some group's Ethernet address.
pub(crate) const GROUP: Mac = Mac::new([0x33, 0x33, 0, 0, 0, 0xfb]);

fn from_the_stack(family: &Family) -> Vec<Row> {
    let Family { a, b, d, host, elsewhere, .. } = *family;
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(ROUTER, OWN);
    // Ports of their own: recorded flows change what later packets meet.
    let flow = |from, to| Ip::tcp(from, to, 30_000, 8080).frame(ROUTER, OWN);
    vec![
        row("node to endpoint", tcp(host, a))
            .received(OWN)
            .moves(&["egress local endpoint", "a received"]),
        row("node to endpoint by udp", Ip::udp(host, a, 4000, 53).frame(OWN, OWN))
            .received(OWN)
            .moves(&["egress local endpoint", "a received"]),
        row("node to endpoint on another parent", tcp(host, d))
            .received(PARENT[1])
            .moves(&["egress local endpoint", "d received"]),
        row("node to elsewhere", tcp(host, elsewhere)).moves(&["egress router stack-routed"]),
        row("node to a kernel prefix", tcp(host, family.kernel))
            .moves(&["egress router stack-routed"]),
        row("node to a dropped prefix", tcp(host, family.dropped))
            .dropped()
            .moves(&["egress drop blackhole"]),
        row("node from a prefix that it serves", tcp(family.served, elsewhere))
            .moves(&["egress router stack-routed"]),
        row("node from a service address to endpoint", tcp(family.kernel, a))
            .received(OWN)
            .moves(&["egress local endpoint", "a received"]),
        row("node to a group", Ip::udp(host, family.group, 5353, 5353).frame(GROUP, OWN))
            .moves(&["egress router multicast"]),
        row("forwarded to elsewhere", tcp(elsewhere, family.routed))
            .forwarded()
            .moves(&["egress router stack-routed"]),
        row("forwarded to endpoint", flow(elsewhere, b))
            .forwarded()
            .received(OWN)
            .moves(&["egress local endpoint", "b received"]),
        row("answer to what was forwarded", Ip::tcp(b, elsewhere, 8080, 30_000).frame(ROUTER, OWN))
            .entered()
            .moves(&["egress kernel flow", "b sent"]),
        row(
            "another flow of the same endpoint",
            Ip::tcp(b, elsewhere, 8081, 30_000).frame(ROUTER, OWN),
        )
        .moves(&["egress router no-route", "b sent"]),
        row("forwarded for an endpoint", flow(b, elsewhere))
            .forwarded()
            .moves(&["egress router stack-routed"]),
    ]
}

fn forged(family: &Family) -> Vec<Row> {
    let Family { a, d, elsewhere, nobody, group, .. } = *family;
    let tcp = |from, mac| Ip::tcp(from, elsewhere, 4000, 80).frame(ROUTER, mac);
    vec![
        row("source of nobody here", tcp(elsewhere, OWN))
            .dropped()
            .moves(&["egress drop source-not-owned"]),
        row("source in a local prefix", tcp(family.unassigned, OWN))
            .dropped()
            .moves(&["egress drop source-not-owned"]),
        row("source in a dropped prefix", tcp(family.dropped, OWN))
            .dropped()
            .moves(&["egress drop source-not-owned"]),
        row("foreign Ethernet source", tcp(a, STRANGER))
            .dropped()
            .moves(&["egress drop source-mac"]),
        row("endpoint of another parent", tcp(d, OWN))
            .dropped()
            .moves(&["egress drop source-parent"]),
        row("group as source", tcp(group, OWN)).dropped().moves(&["egress drop source-invalid"]),
        row("no source to one host", tcp(nobody, OWN))
            .dropped()
            .moves(&["egress drop source-invalid"]),
        row("no source to a group", Ip::udp(nobody, group, 68, 67).frame(Mac::BROADCAST, OWN))
            .moves(&["egress router no-source"]),
        row("the redirect mark does not help", tcp(elsewhere, OWN))
            .marked(MARK_REDIRECTED)
            .dropped()
            .moves(&["egress drop source-not-owned"]),
    ]
}

/// A pod's socket sends what only another pod or the node may send; all have one Ethernet address.
fn of_another_namespace(family: &Family) -> Vec<Row> {
    let Family { a, b, e, host, service, elsewhere, .. } = *family;
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(ROUTER, OWN);
    let refused =
        |name, frame| row(name, frame).by_pod().dropped().moves(&["egress drop source-namespace"]);
    vec![
        refused("pod as a sibling", tcp(e, elsewhere)),
        refused("pod as a sibling to its own", tcp(e, b)),
        refused("pod as the node", tcp(host, elsewhere)),
        refused("pod as the node to a sibling", tcp(host, e)),
        refused("pod as a service of the node", tcp(service, elsewhere)),
        refused("pod as a prefix of the node", tcp(family.served, elsewhere)),
        refused("pod as a prefix of the kernel path", tcp(family.kernel, a)),
        refused("pod as a sibling whom the stack forwards for", tcp(e, elsewhere)).forwarded(),
        refused("pod as a sibling with a tag", frame::tagged(&tcp(e, elsewhere), 7)),
        refused(
            "pod as a sibling to a group",
            Ip::udp(e, family.group, 5353, 5353).frame(GROUP, OWN),
        ),
        // Its own sockets answer for everybody: the kernel's are at home on the node.
        row("the node's socket as an endpoint", tcp(e, elsewhere))
            .moves(&["egress router no-route", "e sent"]),
    ]
}

fn shapes(family: &Family) -> Vec<Row> {
    let Family { a, b, d, f, host, elsewhere, .. } = *family;
    let vlan = |from, mac| frame::tagged(&Ip::udp(from, elsewhere, 1, 2).frame(ROUTER, mac), 7);
    let v4 = a.is_ipv4();
    let sibling = &["egress local endpoint", "a sent", "b received"];
    let udp = || Ip::udp(a, b, 4000, 53);
    let whole = udp().frame(OWN, OWN);
    let mut rows = vec![
        row("first fragment", udp().fragment(0, true).frame(OWN, OWN)).received(OWN).moves(sibling),
        row("later fragment", udp().fragment(185, false).frame(OWN, OWN))
            .received(OWN)
            .moves(sibling),
        row("any protocol", Ip::new(a, b, 47, vec![0; 40]).frame(OWN, OWN))
            .received(OWN)
            .moves(sibling),
        row("trailing padding", [whole.clone(), vec![0; 30]].concat()).received(OWN).moves(sibling),
        row("truncated behind the header", whole[..14 + if v4 { 20 } else { 40 }].to_vec())
            .dropped()
            .moves(&["egress drop malformed"]),
        row("truncated payload", whole[..whole.len() - 1].to_vec())
            .dropped()
            .moves(&["egress drop malformed"]),
        row("truncated ports", Ip::new(a, b, 17, vec![0; 3]).frame(OWN, OWN))
            .dropped()
            .moves(&["egress drop malformed"]),
        row("tagged by an endpoint", frame::tagged(&whole, 7))
            .dropped()
            .moves(&["egress drop tagged-endpoint", "a sent"]),
        row("tagged by a VLAN that is a parent", vlan(d, PARENT[1]))
            .by_pod()
            .moves(&["egress router tagged"]),
        row("tagged by a VLAN, as an address of its child", vlan(d, OWN))
            .by_pod()
            .dropped()
            .moves(&["egress drop source-parent"]),
        row("tagged by a VLAN, as a child of another namespace", vlan(f, PARENT[1]))
            .by_pod()
            .dropped()
            .moves(&["egress drop source-namespace"]),
        row(
            "tagged by the node",
            frame::tagged(&Ip::udp(host, elsewhere, 1, 2).frame(ROUTER, OWN), 7),
        )
        .moves(&["egress router tagged"]),
        row(
            "tagged with a foreign source",
            frame::tagged(&Ip::udp(elsewhere, a, 1, 2).frame(ROUTER, OWN), 7),
        )
        .dropped()
        .moves(&["egress drop source-not-owned"]),
        row("neither IP nor ARP", frame::ethernet(GROUP, OWN, 0x88cc, &[0; 46]))
            .moves(&["egress router not-ip"]),
        row(
            "neither IP nor ARP from a stranger",
            frame::ethernet(GROUP, STRANGER, 0x88cc, &[0; 46]),
        )
        .dropped()
        .moves(&["egress drop source-mac"]),
    ];
    let mut version = whole;
    version[14] ^= 0x10;
    rows.push(row("wrong version", version).dropped().moves(&["egress drop malformed"]));
    if v4 {
        rows.push(row("options", udp().options(5).frame(OWN, OWN)).received(OWN).moves(sibling));
        let mut short = udp().frame(OWN, OWN);
        short[14] = 0x44;
        rows.push(row("header too short", short).dropped().moves(&["egress drop malformed"]));
    } else {
        rows.push(
            row("extension headers", udp().extensions(&[0, 43, 60]).frame(OWN, OWN))
                .received(OWN)
                .moves(sibling),
        );
        rows.push(
            row("too many extension headers", udp().extensions(&[60; 9]).frame(OWN, OWN))
                .dropped()
                .moves(&["egress drop deep-headers"]),
        );
        rows.push(
            row("no next header", Ip::new(a, b, 59, Vec::new()).frame(OWN, OWN))
                .received(OWN)
                .moves(sibling),
        );
    }
    rows
}
