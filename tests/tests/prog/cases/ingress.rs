//! What comes from the wire, or from the ipvlan driver.

use netpath_common::{Hook, MARK_REDIRECTED, Mac};
use netpath_tests::program::frame::{self, Ip};

use super::{Row, egress::GROUP};
use crate::world::{Family, PARENT, ROUTER};

const OWN: Mac = PARENT[0];

fn row(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::Ingress, name, frame)
}

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let mut rows = from_the_wire(family);
    rows.extend(from_the_driver(family));
    rows
}

fn from_the_wire(family: &Family) -> Vec<Row> {
    let Family { a, b, d, host, elsewhere, .. } = *family;
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(OWN, ROUTER);
    let whole = Ip::udp(elsewhere, a, 1, 2).frame(OWN, ROUTER);
    vec![
        row("to endpoint", tcp(elsewhere, a)).moves(&["ingress local endpoint", "a received"]),
        row("to endpoint by icmp", Ip::echo(elsewhere, a, 7, true).frame(OWN, ROUTER))
            .moves(&["ingress local endpoint", "a received"]),
        row("to endpoint on another parent", tcp(elsewhere, d))
            .received(PARENT[1])
            .moves(&["ingress local endpoint", "d received"]),
        row("to the node", tcp(elsewhere, host)).moves(&["ingress host host-address"]),
        row("to a prefix of the node", tcp(elsewhere, family.served))
            .moves(&["ingress host route"]),
        row("to a kernel prefix", tcp(elsewhere, family.kernel)).moves(&["ingress kernel route"]),
        row("to a routed prefix", tcp(elsewhere, family.routed)).moves(&["ingress kernel transit"]),
        row("to elsewhere", tcp(family.routed, elsewhere)).moves(&["ingress kernel transit"]),
        row("to a local prefix without endpoint", tcp(elsewhere, family.unassigned))
            .dropped()
            .moves(&["ingress drop no-endpoint"]),
        row("to a dropped prefix", tcp(elsewhere, family.dropped))
            .dropped()
            .moves(&["ingress drop blackhole"]),
        row("from a dropped prefix", tcp(family.dropped, a))
            .dropped()
            .moves(&["ingress drop blackhole-source"]),
        row("to a group", Ip::udp(elsewhere, family.group, 1, 2).frame(GROUP, ROUTER))
            .moves(&["ingress host multicast"]),
        row("with an endpoint's source", tcp(b, a))
            .dropped()
            .moves(&["ingress drop claims-local-address"]),
        row("with the node's source", tcp(host, a))
            .dropped()
            .moves(&["ingress drop claims-local-address"]),
        row("truncated", whole[..whole.len() - 1].to_vec())
            .dropped()
            .moves(&["ingress drop malformed"]),
        row("tagged", frame::tagged(&whole, 7)).moves(&["ingress host tagged"]),
        row("neither IP nor ARP", frame::ethernet(GROUP, ROUTER, 0x88cc, &[0; 46]))
            .moves(&["ingress host not-ip"]),
        row("later fragment", Ip::udp(elsewhere, a, 1, 2).fragment(8, true).frame(OWN, ROUTER))
            .moves(&["ingress local endpoint", "a received"]),
        // The table of egress has let the host stack forward b's packet to elsewhere.
        row("answer to what was forwarded", Ip::tcp(elsewhere, b, 8080, 30_000).frame(OWN, ROUTER))
            .entered()
            .moves(&["ingress kernel flow"]),
        row("our own redirect", tcp(b, a)).marked(MARK_REDIRECTED).unmarked(),
        row("a mark of someone else's", tcp(elsewhere, a))
            .marked(5)
            .moves(&["ingress local endpoint", "a received"]),
    ]
}

fn from_the_driver(family: &Family) -> Vec<Row> {
    let Family { a, d, f, host, elsewhere, .. } = *family;
    let own = PARENT[1];
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(own, own);
    vec![
        row("endpoint to the node through the driver", tcp(d, host))
            .on_second()
            .moves(&["ingress host switched-in-driver of parent 1", "d sent"]),
        row("endpoint to another parent through the driver", tcp(d, a))
            .on_second()
            .received(OWN)
            .moves(&["ingress local endpoint of parent 1", "d sent", "a received"]),
        row("endpoint to the kernel path through the driver", tcp(d, family.kernel))
            .on_second()
            .moves(&["ingress kernel route of parent 1", "d sent"]),
        row("pod as a sibling through the driver", tcp(f, host))
            .by_pod()
            .on_second()
            .dropped()
            .moves(&["ingress drop source-namespace of parent 1"]),
        row("foreign source through the driver", tcp(elsewhere, host))
            .on_second()
            .dropped()
            .moves(&["ingress drop source-not-owned of parent 1"]),
        row("the node's source through the driver", tcp(host, d))
            .on_second()
            .dropped()
            .moves(&["ingress drop source-not-owned of parent 1"]),
        row("another parent's endpoint through the driver", tcp(a, host))
            .on_second()
            .dropped()
            .moves(&["ingress drop source-parent of parent 1"]),
        row(
            "foreign Ethernet source through the driver",
            Ip::tcp(d, host, 1, 2).frame(ROUTER, ROUTER),
        )
        .on_second()
        .dropped()
        .moves(&["ingress drop source-mac of parent 1"]),
        row(
            "nothing comes from the driver where the parent switches",
            Ip::tcp(a, host, 1, 2).frame(OWN, OWN),
        )
        .dropped()
        .moves(&["ingress drop claims-local-address"]),
    ]
}
