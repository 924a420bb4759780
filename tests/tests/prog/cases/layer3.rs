//! Endpoint l, in L3 mode: the host stack sends what it sent, and nobody hears it answer for itself.

use netpath_common::Hook;
use netpath_tests::program::frame::Ip;

use super::{Row, speaker::Speaker};
use crate::world::{Family, PARENT, ROUTER};

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let Family { a, l, host, elsewhere, .. } = *family;
    let own = PARENT[0];
    let v4 = l.is_ipv4();
    let (wire, sibling) = (Speaker { v4, mac: ROUTER }, Speaker { v4, mac: own });
    let sent = |name, to, mac| {
        Row::new(Hook::Egress, name, Ip::tcp(l, to, 4000, 80).frame(mac, own)).by_pod()
    };
    vec![
        sent("to a sibling", a, own).received(own).moves(&[
            "egress local endpoint",
            "l sent",
            "a received",
        ]),
        sent("to the node", host, ROUTER)
            .received(own)
            .moves(&["egress host host-address", "l sent"]),
        sent("to elsewhere", elsewhere, ROUTER).moves(&["egress router no-route", "l sent"]),
        Row::new(Hook::Egress, "by another parent", Ip::tcp(l, a, 1, 2).frame(own, PARENT[1]))
            .on_second()
            .by_pod()
            .received(own)
            .moves(&["egress local endpoint of parent 1", "a received"]),
        Row::new(Hook::Ingress, "from the wire", Ip::tcp(elsewhere, l, 1, 2).frame(own, ROUTER))
            .moves(&["ingress local endpoint", "l received"]),
        Row::new(Hook::Ingress, "the wire asks for it", wire.question(elsewhere, l, ROUTER))
            .replied(wire.reply(elsewhere, l, own))
            .moves(&["ingress local neighbour-answered"]),
        Row::new(Hook::Egress, "a sibling asks for it", sibling.question(a, l, own))
            .by_pod()
            .answered(sibling.answer(a, l, own))
            .moves(&["egress local neighbour-answered", "a sent"]),
    ]
}
