//! Endpoints with a device of their own: p, and q whose packets the host stack carries.

use netpath_common::{Hook, MARK_REDIRECTED, Mac, endpoint::DEVICE_MAC};
use netpath_tests::program::frame::{self, Ip};

use super::{Row, egress::GROUP, speaker::Speaker};
use crate::world::{Family, PARENT, ROUTER, STRANGER, VETH};

const PARENTS: Mac = PARENT[0];
const OWN: Mac = VETH[0];

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows = sent(family);
    rows.extend(sent_by_the_stack(family));
    rows.extend(refused(family));
    rows.extend(received(family));
    rows.extend(neighbours(family));
    rows
}

fn from(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::FromEndpoint, name, frame)
}

fn sent(family: &Family) -> Vec<Row> {
    let Family { a, d, g, p, q, host, .. } = *family;
    let to = |address| Ip::tcp(p, address, 4000, 80).frame(DEVICE_MAC, OWN);
    vec![
        from("to a child of its parent", to(a)).received(PARENTS).moves(&[
            "from-endpoint local endpoint",
            "p sent",
            "a received",
        ]),
        from("to a child of another parent", to(d)).received(PARENT[1]).moves(&[
            "from-endpoint local endpoint",
            "p sent",
            "d received",
        ]),
        from("to a macvlan child", to(g)).received(crate::world::MACVLAN).moves(&[
            "from-endpoint local endpoint",
            "p sent",
            "g received",
        ]),
        from("to one whose packets the stack carries", to(q))
            .moves(&["from-endpoint kernel not-accelerated", "p sent"]),
        from("to the node", to(host)).moves(&["from-endpoint host host-address", "p sent"]),
        from("to a prefix of the node", to(family.served))
            .moves(&["from-endpoint host route", "p sent"]),
        from("to the kernel path", to(family.kernel))
            .moves(&["from-endpoint kernel route", "p sent"]),
        from("to a routed prefix", to(family.routed))
            .sent_by_parent()
            .moves(&["from-endpoint router route", "p sent"]),
        from("to a prefix with a next hop", to(family.via))
            .redirected()
            .moves(&["from-endpoint router route", "p sent"]),
        from("to elsewhere", to(family.elsewhere))
            .sent_by_parent()
            .moves(&["from-endpoint router no-route", "p sent"]),
        from("to a dropped prefix", to(family.dropped))
            .dropped()
            .moves(&["from-endpoint drop blackhole", "p sent"]),
        from("to a local prefix without endpoint", to(family.unassigned))
            .dropped()
            .moves(&["from-endpoint drop no-endpoint", "p sent"]),
        from("to a group", Ip::udp(p, family.group, 5353, 5353).frame(GROUP, OWN))
            .moves(&["from-endpoint host multicast", "p sent"]),
    ]
}

fn sent_by_the_stack(family: &Family) -> Vec<Row> {
    let Family { a, q, host, elsewhere, .. } = *family;
    let targets = [
        ("to a child by the stack", a),
        ("to the node by the stack", host),
        ("to elsewhere by the stack", elsewhere),
    ];
    targets
        .map(|(name, address)| {
            from(name, Ip::tcp(q, address, 4000, 80).frame(DEVICE_MAC, VETH[1]))
                .on_second()
                .moves(&["from-endpoint kernel not-accelerated", "q sent"])
        })
        .into()
}

fn refused(family: &Family) -> Vec<Row> {
    let Family { a, p, q, host, elsewhere, .. } = *family;
    let frame = |source| Ip::tcp(source, elsewhere, 4000, 80).frame(DEVICE_MAC, OWN);
    vec![
        from("as one of another device", frame(q))
            .dropped()
            .moves(&["from-endpoint drop source-device of nobody"]),
        from("as a child", frame(a))
            .dropped()
            .moves(&["from-endpoint drop source-device of nobody"]),
        from("as the node", frame(host))
            .dropped()
            .moves(&["from-endpoint drop source-device of nobody"]),
        from("as a stranger", frame(elsewhere))
            .dropped()
            .moves(&["from-endpoint drop source-not-owned of nobody"]),
        from("by another Ethernet address", Ip::tcp(p, a, 1, 2).frame(DEVICE_MAC, STRANGER))
            .dropped()
            .moves(&["from-endpoint drop source-mac", "p sent"]),
        from("tagged", frame::tagged(&Ip::tcp(p, a, 1, 2).frame(DEVICE_MAC, OWN), 7))
            .dropped()
            .moves(&["from-endpoint drop tagged-endpoint", "p sent"]),
        from("neither IP nor ARP", frame::ethernet(DEVICE_MAC, OWN, 0x88cc, &[0; 46]))
            .dropped()
            .moves(&["from-endpoint drop source-mac of nobody"]),
        Row::new(Hook::Egress, "a child as it", Ip::tcp(p, elsewhere, 1, 2).frame(ROUTER, OWN))
            .by_pod()
            .dropped()
            .moves(&["egress drop source-parent"]),
    ]
}

fn received(family: &Family) -> Vec<Row> {
    let Family { a, p, q, host, elsewhere, .. } = *family;
    let to = |hook, name, source, address, macs: (Mac, Mac)| {
        Row::new(hook, name, Ip::tcp(source, address, 4000, 80).frame(macs.0, macs.1))
    };
    let (wire, device) = ((PARENTS, ROUTER), (OWN, DEVICE_MAC));
    vec![
        to(Hook::Ingress, "from the wire", elsewhere, p, wire)
            .by_device(OWN, 0)
            .moves(&["ingress local endpoint", "p received"]),
        to(Hook::Ingress, "from the wire by the stack", elsewhere, q, wire)
            .moves(&["ingress kernel not-accelerated"]),
        to(Hook::Egress, "from a child", a, p, (ROUTER, PARENTS))
            .by_pod()
            .by_device(OWN, MARK_REDIRECTED)
            .moves(&["egress local endpoint", "a sent", "p received"]),
        to(Hook::Egress, "from a child by the stack", a, q, (ROUTER, PARENTS))
            .by_pod()
            .entered()
            .moves(&["egress kernel not-accelerated", "a sent", "q received"]),
        to(Hook::ToEndpoint, "from the node", host, p, device)
            .moves(&["to-endpoint local stack-routed", "p received"]),
        to(Hook::ToEndpoint, "our own redirect", a, p, device).marked(MARK_REDIRECTED).unmarked(),
        to(Hook::ToEndpoint, "to another's device", host, q, device)
            .moves(&["to-endpoint local multicast of nobody"]),
    ]
}

fn neighbours(family: &Family) -> Vec<Row> {
    let Family { a, p, q, host, elsewhere, nobody, .. } = *family;
    let v4 = p.is_ipv4();
    let (own, wire) = (Speaker { v4, mac: OWN }, Speaker { v4, mac: ROUTER });
    let sibling = Speaker { v4, mac: PARENTS };
    let ingress = |name, frame| Row::new(Hook::Ingress, name, frame);
    let question = own.question(p, host, OWN);
    vec![
        from("asks the node", question.clone()).moves(&["from-endpoint host neighbour", "p sent"]),
        from("asks with a foreign address", own.question(p, host, STRANGER))
            .dropped()
            .moves(&["from-endpoint drop neighbour-forged", "p sent"]),
        from("asks as another", own.question(q, host, OWN))
            .dropped()
            .moves(&["from-endpoint drop source-device of nobody"]),
        from("probes", own.question(nobody, p, OWN))
            .moves(&["from-endpoint host no-source of nobody"]),
        ingress("the wire asks for it", wire.question(elsewhere, p, ROUTER))
            .replied(wire.reply(elsewhere, p, PARENTS))
            .moves(&["ingress local neighbour-answered"]),
        ingress("the wire asks for a child", wire.question(elsewhere, a, ROUTER))
            .moves(&["ingress host neighbour"]),
        Row::new(Hook::Egress, "a child asks for it", sibling.question(a, p, PARENTS))
            .by_pod()
            .answered(sibling.answer(a, p, OWN))
            .moves(&["egress local neighbour-answered", "a sent"]),
        Row::new(Hook::ToEndpoint, "the node asks", question)
            .moves(&["to-endpoint local neighbour of nobody"]),
    ]
}
