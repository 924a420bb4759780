//! XDP: only what must not come in is counted.

use netpath_common::{Hook, Mac};
use netpath_tests::program::frame::{self, Ip};

use super::Row;
use crate::world::{Family, PARENT, ROUTER};

const OWN: Mac = PARENT[0];

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let Family { a, b, d, host, elsewhere, .. } = *family;
    let row = |name, frame| Row::new(Hook::Xdp, name, frame);
    let tcp = |from, to| Ip::tcp(from, to, 4000, 80).frame(OWN, ROUTER);
    let whole = Ip::udp(b, a, 1, 2).frame(OWN, ROUTER);
    let internal = |own, from, to| Ip::tcp(from, to, 4000, 80).frame(own, own);
    vec![
        row("to endpoint", tcp(elsewhere, a)),
        row("to the node", tcp(elsewhere, host)),
        row("to elsewhere", tcp(elsewhere, family.routed)),
        row("to endpoint by icmp", Ip::echo(elsewhere, a, 7, false).frame(OWN, ROUTER)),
        row("with an endpoint's source", tcp(b, a))
            .dropped()
            .moves(&["xdp drop claims-local-address"]),
        row("with the node's source", tcp(host, a))
            .dropped()
            .moves(&["xdp drop claims-local-address"]),
        row(
            "with an endpoint's source in a fragment",
            Ip::udp(b, a, 1, 2).fragment(3, true).frame(OWN, ROUTER),
        )
        .dropped()
        .moves(&["xdp drop claims-local-address"]),
        row("from a dropped prefix", tcp(family.dropped, a))
            .dropped()
            .moves(&["xdp drop blackhole-source"]),
        row("to a dropped prefix", tcp(elsewhere, family.dropped))
            .dropped()
            .moves(&["xdp drop blackhole"]),
        row("truncated", whole[..20].to_vec()).dropped().moves(&["xdp drop malformed"]),
        row("tagged", frame::tagged(&whole, 7)),
        row("neither IP nor ARP", frame::ethernet(OWN, ROUTER, 0x88cc, &[0; 46])),
        row("our own redirect, which generic XDP sees", internal(OWN, b, a)),
        row("no redirect comes by native XDP", internal(PARENT[1], a, d))
            .on_second()
            .dropped()
            .moves(&["xdp drop claims-local-address of parent 1"]),
    ]
}
