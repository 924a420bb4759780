//! ARP and neighbour discovery.

use std::net::IpAddr;

use netpath_common::{Hook, Mac};
use netpath_tests::program::frame::{self, ARP_REPLY, ARP_REQUEST, Ip};

use super::{Row, egress::GROUP};
use crate::world::{Family, PARENT, ROUTER, STRANGER};

const OWN: Mac = PARENT[0];
const ZERO: Mac = Mac::new([0; 6]);

fn row(name: &'static str, frame: Vec<u8>) -> Row {
    Row::new(Hook::Egress, name, frame)
}

/// Who asks, answers or announces, in the family's own protocol.
struct Speaker {
    v4: bool,
}

impl Speaker {
    /// `asker` asks for `target`, with `claimed` as its Ethernet address.
    fn question(&self, asker: IpAddr, target: IpAddr, claimed: Mac) -> Vec<u8> {
        if self.v4 {
            let ends = (Mac::BROADCAST, OWN);
            return frame::arp(ends, ARP_REQUEST, (claimed, asker), (ZERO, target));
        }
        frame::discovery((asker, solicited(target)), 135, target, Some((1, claimed)))
            .frame(GROUP, OWN)
    }

    /// `owner` tells `asker` that `target` is at `claimed`.
    fn statement(
        &self,
        (destination, source): (Mac, Mac),
        owner: IpAddr,
        asker: IpAddr,
        claimed: Mac,
    ) -> Vec<u8> {
        if self.v4 {
            let asker_mac = destination;
            return frame::arp(
                (destination, source),
                ARP_REPLY,
                (claimed, owner),
                (asker_mac, asker),
            );
        }
        frame::discovery((owner, asker), 136, owner, Some((2, claimed))).frame(destination, source)
    }

    /// The parent's answer to the question of `asker` for `target`.
    fn answer(&self, asker: IpAddr, target: IpAddr, asker_mac: Mac) -> Vec<u8> {
        if self.v4 {
            return frame::arp((asker_mac, OWN), ARP_REPLY, (OWN, target), (asker_mac, asker));
        }
        let mut frame =
            frame::discovery((target, asker), 136, target, Some((2, OWN))).frame(asker_mac, OWN);
        // Hop limit 255; solicited, override; the checksum over pseudo header and message.
        frame[14 + 7] = 255;
        frame[14 + 40 + 4] = 0x60;
        let sum = checksum(&frame[14..]);
        frame[14 + 42..14 + 44].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}

/// The solicited-node group of an address.
fn solicited(target: IpAddr) -> IpAddr {
    let octets = netpath_common::Address::from(target).octets;
    let [.., a, b, c] = octets;
    let group: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    IpAddr::from(group)
}

/// The ICMPv6 checksum of a packet without extension headers, whose checksum field is 0.
fn checksum(packet: &[u8]) -> u16 {
    let length = u32::try_from(packet.len() - 40).expect("short");
    let words = packet[8..]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.sum::<u32>() + length + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// The rows of one family.
pub(crate) fn rows(family: &Family) -> Vec<Row> {
    let speaker = Speaker { v4: family.a.is_ipv4() };
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
    let speaker = Speaker { v4: false };
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
