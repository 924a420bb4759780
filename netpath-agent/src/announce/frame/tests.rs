use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;

const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 1]);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Bytes from hexadecimal digits with any white space.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn arp_is_byte_for_byte() {
    let ethernet = "ffffffffffff 020000000001 0806";
    let request = "0001 0800 06 04 0001 020000000001";
    for (name, frame, rest) in [
        ("probe", probe(MAC, address("10.0.1.9")), "00000000 000000000000 0a000109"),
        ("announcement", announcement(MAC, address("10.0.1.9")), "0a000109 000000000000 0a000109"),
        (
            "question",
            question(MAC, address("10.0.1.9"), address("10.0.1.1")).unwrap(),
            "0a000109 000000000000 0a000101",
        ),
    ] {
        assert_eq!(frame.protocol, ARP, "{name}");
        assert_eq!(frame.bytes, hex(&format!("{ethernet} {request} {rest}")), "{name}");
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        assert!(matches!(packet.net, Some(NetSlice::Arp(_))), "{name}");
    }
}

#[test]
fn discovery_is_byte_for_byte() {
    let own = "fd000000000000000000000000120009";
    let nobody = "00000000000000000000000000000000";
    for (name, frame, expected) in [
        (
            "probe",
            probe(MAC, address("fd00::12:9")),
            format!(
                "3333ff120009 020000000001 86dd 60000000 0018 3a ff
                {nobody} ff0200000000000000000001ff120009
                87 00 cccc 00000000 {own}"
            ),
        ),
        (
            "announcement",
            announcement(MAC, address("fd00::12:9")),
            format!(
                "333300000001 020000000001 86dd 60000000 0020 3a ff
                {own} ff020000000000000000000000000001
                88 00 cccc 20000000 {own} 02 01 020000000001"
            ),
        ),
        (
            "question",
            question(MAC, address("fd00::12:9"), address("fd00::34:5678")).unwrap(),
            format!(
                "3333ff345678 020000000001 86dd 60000000 0020 3a ff
                {own} ff0200000000000000000001ff345678
                87 00 cccc 00000000 fd000000000000000000000000345678 01 01 020000000001"
            ),
        ),
    ] {
        assert_eq!(frame.protocol, IPV6, "{name}");
        let packet = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(message))) =
            (packet.net, packet.transport)
        else {
            panic!("{name} is no ICMPv6");
        };
        let header = ip.header();
        assert!(message.is_checksum_valid(header.source(), header.destination()), "{name}");
        let [high, low] = message.checksum().to_be_bytes();
        let expected = expected.replace("cccc", &format!("{high:02x}{low:02x}"));
        assert_eq!(frame.bytes, hex(&expected), "{name}");
    }
}

#[test]
fn families_do_not_mix() {
    assert!(question(MAC, address("10.0.1.9"), address("fd00::1")).is_none());
    assert!(question(MAC, address("fd00::1"), address("10.0.1.9")).is_none());
}

#[test]
fn a_carry_of_the_checksum_is_folded() {
    let all = Ipv6Addr::from_bits(u128::MAX);
    // 16 words of ones add nothing; the length is 3, the next header 58, the last word 0x0100.
    assert_eq!(checksum(all, all, &[0xff, 0xff, 1]), !(3 + 58 + 0x100));
}
