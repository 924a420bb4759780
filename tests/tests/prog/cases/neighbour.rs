//! ARP and neighbour discovery.

use netpath_common::{Hook, Mac};
use netpath_tests::program::frame::{self, Ip};

use super::{
    Row,
    egress::GROUP,
    speaker::{Speaker, solicited},
};
use crate::world::{Family, PARENT, ROUTER, STRANGER};

const OWN: Mac = PARENT[0];

fn row(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::Egress, name, frame)
}

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let speaker = Speaker { v4: family.a.is_ipv4(), mac: OWN };
    let mut rows = questions(family, &speaker);
    rows.extend(statements(family, &speaker));
    rows.extend(of_another_namespace(family, &speaker));
    rows.extend(ingress(family, &speaker));
    if !speaker.v4 {
        rows.extend(discovery(family));
    }
    rows
}

fn questions(family: &Family, speaker: &Speaker) -> Vec<Row> {
    let Family { a, b, c, host, service, elsewhere, .. } = *family;
    let ask = |asker, target| speaker.question(asker, target, OWN);
    let answer = |asker, target| speaker.answer(asker, target, OWN);
    vec![
        row("endpoint asks for the node", ask(a, host))
            .answered(answer(a, host))
            .moves(&["egress host neighbour-answered", "a sent"]),
        row("endpoint asks for a service of the node", ask(a, service))
            .answered(answer(a, service))
            .moves(&["egress host neighbour-answered", "a sent"]),
        row("endpoint asks for a sibling", ask(a, b))
            .answered(answer(a, b))
            .moves(&["egress local neighbour-answered", "a sent"]),
        row("endpoint asks for an address of the kernel path", ask(a, family.kernel))
            .answered(answer(a, family.kernel))
            .moves(&["egress kernel neighbour-answered", "a sent"]),
        row("endpoint asks for an address on the wire", ask(a, elsewhere))
            .moves(&["egress router neighbour", "a sent"]),
        row("endpoint asks for a dropped address", ask(a, family.dropped))
            .dropped()
            .moves(&["egress drop blackhole", "a sent"]),
        row("endpoint asks for what its table drops", ask(c, b))
            .dropped()
            .moves(&["egress drop blackhole", "c sent"]),
        row("endpoint announces itself", ask(a, a)).moves(&["egress router neighbour", "a sent"]),
        row("node asks for an endpoint", ask(host, a))
            .answered(answer(host, a))
            .moves(&["egress local neighbour-answered"]),
        row("node asks for an address on the wire", ask(host, elsewhere))
            .moves(&["egress router neighbour"]),
        row("nobody asks for an endpoint", ask(family.nobody, a))
            .moves(&["egress router no-source"]),
        row("stranger asks", ask(elsewhere, a)).dropped().moves(&["egress drop source-not-owned"]),
        row("endpoint asks with a foreign Ethernet address", speaker.question(a, b, STRANGER))
            .dropped()
            .moves(&["egress drop neighbour-forged", "a sent"]),
    ]
}

fn statements(family: &Family, speaker: &Speaker) -> Vec<Row> {
    let Family { a, b, d, host, elsewhere, .. } = *family;
    let say = |owner, asker| speaker.statement((OWN, OWN), owner, asker, OWN);
    vec![
        row("endpoint answers a sibling", say(a, b)).received(OWN).moves(&[
            "egress local neighbour",
            "a sent",
            "b received",
        ]),
        row("endpoint answers the node", say(a, host))
            .received(OWN)
            .moves(&["egress host neighbour", "a sent"]),
        row("endpoint answers the wire", speaker.statement((ROUTER, OWN), a, elsewhere, OWN))
            .moves(&["egress router neighbour", "a sent"]),
        row(
            "endpoint answers with a foreign Ethernet address",
            speaker.statement((ROUTER, OWN), a, elsewhere, STRANGER),
        )
        .dropped()
        .moves(&["egress drop neighbour-forged", "a sent"]),
        row("endpoint answers for the router", speaker.statement((OWN, OWN), elsewhere, b, OWN))
            .dropped()
            .moves(&["egress drop source-not-owned"]),
        row("endpoint answers for another parent's", say(d, b))
            .dropped()
            .moves(&["egress drop source-parent"]),
        row(
            "endpoint answers from a foreign Ethernet address",
            speaker.statement((ROUTER, STRANGER), a, elsewhere, STRANGER),
        )
        .dropped()
        .moves(&["egress drop source-mac"]),
        row("node answers the wire", speaker.statement((ROUTER, OWN), host, elsewhere, OWN))
            .moves(&["egress router neighbour"]),
    ]
}

/// A pod's socket speaks for a sibling or for the node; all have one Ethernet address.
fn of_another_namespace(family: &Family, speaker: &Speaker) -> Vec<Row> {
    let Family { a, b, e, host, elsewhere, .. } = *family;
    let say = |owner, asker| speaker.statement((ROUTER, OWN), owner, asker, OWN);
    [
        ("pod asks in the name of a sibling", speaker.question(e, elsewhere, OWN)),
        ("pod announces a sibling", speaker.question(e, e, OWN)),
        ("pod answers for a sibling", say(e, elsewhere)),
        ("pod answers a sibling for another", say(e, b)),
        ("pod asks in the name of the node", speaker.question(host, a, OWN)),
        ("pod answers for the node", say(host, elsewhere)),
    ]
    .map(|(name, frame)| {
        row(name, frame).by_pod().dropped().moves(&["egress drop source-namespace"])
    })
    .into()
}

fn ingress(family: &Family, speaker: &Speaker) -> Vec<Row> {
    let Family { a, host, elsewhere, .. } = *family;
    let row = |name, frame| Row::new(Hook::Ingress, name, frame);
    let heard = |owner| speaker.statement((OWN, ROUTER), owner, host, ROUTER);
    vec![
        row("wire answers the node", heard(elsewhere)).moves(&["ingress host neighbour"]),
        row("wire answers for an endpoint", heard(a))
            .dropped()
            .moves(&["ingress drop claims-local-address"]),
        Row::new(Hook::Xdp, "wire answers for an endpoint at xdp", heard(a))
            .dropped()
            .moves(&["xdp drop claims-local-address"]),
    ]
}

/// What ARP does not have.
fn discovery(family: &Family) -> Vec<Row> {
    let Family { a, b, host, group, .. } = *family;
    let ask = |option| frame::discovery((a, solicited(host)), 135, host, option);
    let speaker = Speaker { v4: false, mac: OWN };
    let answer = || speaker.answer(a, host, OWN);
    let router = |kind| Ip::new(a, group, 58, message(kind));
    vec![
        row("solicitation without option grows", ask(None).frame(GROUP, OWN))
            .answered(answer())
            .moves(&["egress host neighbour-answered", "a sent"]),
        row(
            "solicitation behind an extension header",
            ask(Some((1, OWN))).extensions(&[60]).frame(GROUP, OWN),
        )
        .answered(answer())
        .moves(&["egress host neighbour-answered", "a sent"]),
        row(
            "advertisement for a sibling",
            frame::discovery((a, b), 136, b, Some((2, OWN))).frame(OWN, OWN),
        )
        .dropped()
        .moves(&["egress drop neighbour-forged", "a sent"]),
        row(
            "unsolicited advertisement",
            frame::discovery((a, group), 136, a, Some((2, OWN))).frame(GROUP, OWN),
        )
        .moves(&["egress router neighbour", "a sent"]),
        row("router advertisement from an endpoint", router(134).frame(GROUP, OWN))
            .dropped()
            .moves(&["egress drop router-forged", "a sent"]),
        row("redirect from an endpoint", router(137).frame(GROUP, OWN))
            .dropped()
            .moves(&["egress drop router-forged", "a sent"]),
        row(
            "advertisement hidden behind extension headers",
            frame::discovery((a, group), 136, host, Some((2, OWN)))
                .extensions(&[0, 60])
                .frame(GROUP, OWN),
        )
        .dropped()
        .moves(&["egress drop neighbour-forged", "a sent"]),
        row("truncated solicitation", truncated(&ask(None).frame(GROUP, OWN)))
            .dropped()
            .moves(&["egress drop malformed"]),
    ]
}

fn message(kind: u8) -> Vec<u8> {
    let mut message = vec![0; 40];
    message[0] = kind;
    message
}

/// The frame with the last eight bytes of the message missing, in the IPv6 header as well.
fn truncated(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame[..frame.len() - 8].to_vec();
    frame[14 + 5] -= 8;
    frame
}
