//! A parser of frames, written apart from the programs' parser and from the RFCs alone: it walks a
//! slice and cares for nothing but clarity.

use netpath_common::{Address, Kind, Mac, Packet};

/// What a frame is to the decision.
pub(super) fn packet(frame: &[u8]) -> Packet {
    let mut packet = Packet::default();
    packet.kind = ethernet(frame, &mut packet).unwrap_or(Kind::Malformed);
    packet
}

fn ethernet(frame: &[u8], packet: &mut Packet) -> Option<Kind> {
    packet.destination_mac = Mac::new(array(frame, 0)?).word();
    packet.source_mac = Mac::new(array(frame, 6)?).word();
    packet.claimed_mac = packet.source_mac;
    let mut at = 12;
    let mut tags = 0;
    while tags < 2 && matches!(number(frame, at)?, 0x8100 | 0x88a8) {
        tags += 1;
        at += 4;
    }
    let body = frame.get(at + 2..)?;
    let kind = match number(frame, at)? {
        0x0800 => ipv4(body, packet)?,
        0x86dd => ipv6(body, packet)?,
        0x0806 => arp(body, packet)?,
        _ => Kind::Other,
    };
    Some(if tags > 0 && kind != Kind::Malformed { Kind::Tagged } else { kind })
}

fn arp(body: &[u8], packet: &mut Packet) -> Option<Kind> {
    let header: [u8; 8] = array(body, 0)?;
    let kind = match header {
        [0, 1, 8, 0, 6, 4, 0, 1] => Kind::ArpRequest,
        [0, 1, 8, 0, 6, 4, 0, 2] => Kind::ArpReply,
        _ => return Some(Kind::Other),
    };
    let claimed = Mac::new(array(body, 8)?).word();
    let sender = Address::v4(array(body, 14)?);
    packet.claimed_mac = claimed;
    packet.source = sender;
    packet.destination = Address::v4(array(body, 24)?);
    Some(kind)
}

fn ipv4(body: &[u8], packet: &mut Packet) -> Option<Kind> {
    let header: [u8; 20] = array(body, 0)?;
    let length = usize::from(header[0] % 16) * 4;
    let total = usize::from(number(body, 2)?);
    if header[0] / 16 != 4 || length < 20 || total < length || total > body.len() {
        return Some(Kind::Malformed);
    }
    packet.source = Address::v4(array(body, 12)?);
    packet.destination = Address::v4(array(body, 16)?);
    packet.protocol = header[9];
    if number(body, 6)? % 0x2000 == 0 {
        ports(body.get(length..)?, packet)?;
    }
    Some(Kind::Ip)
}

fn ipv6(body: &[u8], packet: &mut Packet) -> Option<Kind> {
    packet.source = Address::v6(array(body, 8)?);
    packet.destination = Address::v6(array(body, 24)?);
    let payload = usize::from(number(body, 4)?);
    let nothing = payload == 0 && body[6] != 59;
    if body[0] / 16 != 6 || nothing || 40 + payload > body.len() {
        return Some(Kind::Malformed);
    }
    let mut next = body[6];
    let mut at = 40;
    for _ in 0..8 {
        let unit = match next {
            0 | 43 | 60 | 135 | 139 | 140 => 8,
            51 => 4,
            44 => 0,
            58 => {
                packet.protocol = 58;
                return icmpv6(body.get(at..)?, packet);
            }
            _ => {
                packet.protocol = next;
                ports(body.get(at..)?, packet)?;
                return Some(Kind::Ip);
            }
        };
        let extension = body.get(at..)?;
        if next == 44 {
            let offset = number(extension, 2)? / 8;
            next = extension[0];
            if offset != 0 {
                packet.protocol = next;
                return Some(Kind::Ip);
            }
        } else {
            next = *extension.first()?;
        }
        at += 8 + usize::from(*extension.get(1)?) * unit;
    }
    Some(Kind::DeepHeaders)
}

fn icmpv6(message: &[u8], packet: &mut Packet) -> Option<Kind> {
    array::<8>(message, 0)?;
    let mut claim = |option: u8| {
        if let Some([kind, 1, mac @ ..]) = array::<8>(message, 24)
            && kind == option
        {
            packet.claimed_mac = Mac::new(mac).word();
        }
    };
    match message[0] {
        128 | 129 => {
            echo(message, packet)?;
            Some(Kind::Ip)
        }
        134 | 137 => Some(Kind::RouterMessage),
        135 => {
            claim(1);
            packet.destination = Address::v6(array(message, 8)?);
            Some(Kind::Solicitation)
        }
        136 => {
            claim(2);
            packet.target = Address::v6(array(message, 8)?);
            Some(Kind::Advertisement)
        }
        _ => Some(Kind::Ip),
    }
}

fn ports(segment: &[u8], packet: &mut Packet) -> Option<()> {
    match packet.protocol {
        6 | 17 | 33 | 132 | 136 => {
            packet.source_port = u16::from_ne_bytes(array(segment, 0)?);
            packet.destination_port = u16::from_ne_bytes(array(segment, 2)?);
        }
        1 => {
            array::<8>(segment, 0)?;
            if matches!(segment[0], 0 | 8) {
                echo(segment, packet)?;
            }
        }
        _ => {}
    }
    Some(())
}

fn echo(message: &[u8], packet: &mut Packet) -> Option<()> {
    let identifier = u16::from_ne_bytes(array(message, 4)?);
    packet.source_port = identifier;
    packet.destination_port = identifier;
    Some(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(array(bytes, at)?))
}
