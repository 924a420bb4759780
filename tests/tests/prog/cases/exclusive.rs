//! Endpoint x, with a NIC of its own: others reach it by the wire, the node by its device.

use netpath_common::{Hook, Mac, endpoint::DEVICE_MAC};
use netpath_tests::program::frame::Ip;

use super::{Row, speaker::Speaker};
use crate::world::{Family, MACVLAN, PARENT, ROUTER, VETH};

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let Family { a, p, x, host, kernel, elsewhere, .. } = *family;
    let own = PARENT[0];
    // The NIC's, which is nobody's business here.
    let nic = MACVLAN;
    let wire = Speaker { v4: x.is_ipv4(), mac: nic };
    let tcp = |from, to, (destination, source): (Mac, Mac)| {
        Ip::tcp(from, to, 4000, 80).frame(destination, source)
    };
    let sent = |name, to| {
        Row::new(Hook::FromEndpoint, name, tcp(x, to, (DEVICE_MAC, VETH[1]))).on_second()
    };
    let stack = ["from-endpoint kernel not-accelerated of nobody", "x sent"];
    vec![
        sent("to the node", host).moves(&stack),
        sent("to the kernel path", kernel).moves(&stack),
        Row::new(Hook::ToEndpoint, "from the node", tcp(host, x, (VETH[1], DEVICE_MAC)))
            .on_second()
            .moves(&["to-endpoint local stack-routed of nobody", "x received"]),
        Row::new(Hook::Egress, "a child to it", tcp(a, x, (nic, own)))
            .by_pod()
            .moves(&["egress router route", "a sent"]),
        Row::new(Hook::FromEndpoint, "one with a device to it", tcp(p, x, (DEVICE_MAC, VETH[0])))
            .sent_by_parent()
            .moves(&["from-endpoint router route", "p sent"]),
        Row::new(Hook::Ingress, "it to a child, by the wire", tcp(x, a, (own, nic)))
            .moves(&["ingress local endpoint", "a received"]),
        Row::new(Hook::Xdp, "it to a child, by the wire", tcp(x, a, (own, nic))),
        Row::new(Hook::Ingress, "to it, from the wire", tcp(elsewhere, x, (own, ROUTER)))
            .moves(&["ingress kernel transit"]),
        Row::new(Hook::Egress, "a child as it", tcp(x, elsewhere, (ROUTER, own)))
            .by_pod()
            .dropped()
            .moves(&["egress drop source-parent"]),
        Row::new(
            Hook::Egress,
            "a child asks for it",
            Speaker { mac: own, ..wire }.question(a, x, own),
        )
        .by_pod()
        .moves(&["egress router neighbour", "a sent"]),
        Row::new(Hook::Ingress, "it asks for a child", wire.question(x, a, nic))
            .moves(&["ingress host neighbour"]),
    ]
}
