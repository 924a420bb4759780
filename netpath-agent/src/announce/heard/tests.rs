use super::*;
use crate::announce::frame;

const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 7]);
const OTHER: Mac = Mac::new([2, 0, 0, 0, 0, 8]);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An address, another of its family, and one of the other family.
fn families() -> [[IpAddr; 3]; 2] {
    [["10.0.0.1", "10.0.0.2", "fd00::1"], ["fd00::1", "fd00::2", "10.0.0.1"]]
        .map(|family| family.map(address))
}

/// Changes an ICMPv6 message, from its first byte on, and makes its checksum right again.
fn changed(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (head, message) = frame.split_at(54);
    let (mut head, mut message) = (head.to_vec(), message.to_vec());
    change(&mut message);
    message[2..4].fill(0);
    let [source, destination] =
        [22, 38].map(|at| Ipv6Addr::from_octets(head[at..at + 16].try_into().unwrap()));
    let sum = checksum(source, destination, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let length = u16::try_from(message.len()).unwrap();
    head[18..20].copy_from_slice(&length.to_be_bytes());
    [head, message].concat()
}

fn reply(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut reply = frame::announcement(MAC, IpAddr::from(sender)).bytes.to_vec();
    reply[21] = 2;
    reply[38..].copy_from_slice(&target);
    reply
}

#[test]
fn announcements_are_claims_and_probes_are_probes() {
    for [own, other, foreign] in families() {
        let announced = frame::announcement(MAC, own).bytes;
        assert_eq!(read(&announced, own), Some(Heard::Claim(MAC)));
        let probed = frame::probe(MAC, own).bytes;
        assert_eq!(read(&probed, own), Some(Heard::Probe(MAC)));
        for address in [other, foreign] {
            assert_eq!(read(&announced, address), None);
            assert_eq!(read(&probed, address), None);
        }
    }
}

#[test]
fn a_question_for_an_address_claims_only_the_asker() {
    for [own, other, _] in families() {
        let question = frame::question(MAC, other, own).unwrap().bytes;
        assert_eq!(read(&question, own), None);
        // ARP tells where the asker is, whomever it asks for; a solicitation is read by target.
        let claim = own.is_ipv4().then_some(Heard::Claim(MAC));
        assert_eq!(read(&question, other), claim);
    }
}

#[test]
fn arp_replies_claim_their_sender() {
    let (sender, target) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    assert_eq!(read(&reply(sender, target), sender.into()), Some(Heard::Claim(MAC)));
    assert_eq!(read(&reply(sender, [0; 4]), sender.into()), Some(Heard::Claim(MAC)));
    assert_eq!(read(&reply(sender, target), target.into()), None);
    assert_eq!(read(&reply([0; 4], target), target.into()), None, "a reply is no probe");
}

#[test]
fn advertisements_tell_the_address_or_come_from_it() {
    let own = address("fd00::1");
    let announced = frame::announcement(MAC, own).bytes;
    let other_told = changed(&announced, |message| message[26..32].copy_from_slice(&OTHER.octets));
    assert_eq!(read(&other_told, own), Some(Heard::Claim(OTHER)));
    let nothing_told = changed(&announced, |message| message.truncate(24));
    assert_eq!(read(&nothing_told, own), Some(Heard::Claim(MAC)));
    let unknown_option = changed(&announced, |message| {
        message.splice(24..24, [14, 1, 1, 2, 3, 4, 5, 6]);
    });
    assert_eq!(read(&unknown_option, own), Some(Heard::Claim(MAC)));
}

#[test]
fn padding_does_not_matter() {
    for [own, ..] in families() {
        let padded = [&frame::probe(MAC, own).bytes[..], &[0xa5; 18]].concat();
        assert_eq!(read(&padded, own), Some(Heard::Probe(MAC)));
    }
}

#[test]
fn a_frame_that_ends_early_says_nothing() {
    for [own, ..] in families() {
        for frame in [frame::announcement(MAC, own), frame::probe(MAC, own)] {
            for length in 0..frame.bytes.len() {
                assert_eq!(read(&frame.bytes[..length], own), None, "{own}, {length} bytes");
            }
        }
    }
}

#[test]
fn options_that_lie_about_their_length_say_nothing() {
    let own = address("fd00::1");
    let announced = frame::announcement(MAC, own).bytes;
    for units in [0, 2, 255] {
        let lying = changed(&announced, |message| message[25] = units);
        assert_eq!(read(&lying, own), None, "{units} units");
    }
    let cut = changed(&announced, |message| message.truncate(25));
    assert_eq!(read(&cut, own), None, "half an option");
}

#[test]
fn every_bit_of_a_header_counts() {
    // Where a frame may differ without saying something else.
    let free_v4 = |at| matches!(at, 0..12 | 32..42);
    let free_v6 = |at| matches!(at, 0..12 | 15..18);
    for [own, ..] in families() {
        let frame = frame::announcement(MAC, own).bytes;
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut flipped = frame.to_vec();
                flipped[at] ^= 1 << bit;
                let heard = read(&flipped, own);
                let same = match own {
                    IpAddr::V4(_) => free_v4(at),
                    // The traffic class shares a byte with the version.
                    IpAddr::V6(_) => free_v6(at) || (at == 14 && bit < 4),
                };
                let moved = own.is_ipv4() && (22..28).contains(&at);
                assert_eq!(heard == Some(Heard::Claim(MAC)), same, "{own}, byte {at}, bit {bit}");
                assert_eq!(heard.is_some(), same || moved, "{own}, byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn other_codes_hops_and_types_say_nothing() {
    let own = address("fd00::1");
    let announced = frame::announcement(MAC, own).bytes;
    for (name, at, value) in [("code", 1, 1), ("router advertisement", 0, 134), ("echo", 0, 128)] {
        let other = changed(&announced, |message| message[at] = value);
        assert_eq!(read(&other, own), None, "{name}");
    }
    let mut routed = announced.to_vec();
    routed[21] = 254;
    assert_eq!(read(&routed, own), None, "came through a router");
}
