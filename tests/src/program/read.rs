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
    if packet.transport != 0 {
        packet.transport += u16::try_from(at + 2).ok()?;
    }
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
    packet.speaks_for = packet.source;
    packet.destination = Address::v4(array(body, 16)?);
    packet.protocol = header[9];
    packet.fragment = number(body, 6)? & 0x3fff != 0;
    if number(body, 6)? % 0x2000 != 0 {
        return Some(Kind::Ip);
    }
    packet.transport = u16::try_from(length).ok()?;
    behind((1, true), body.get(length..)?, packet)
}

fn ipv6(body: &[u8], packet: &mut Packet) -> Option<Kind> {
    packet.source = Address::v6(array(body, 8)?);
    packet.speaks_for = packet.source;
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
            _ => {
                packet.protocol = next;
                packet.transport = u16::try_from(at).ok()?;
                return behind((58, at == 40), body.get(at..)?, packet);
            }
        };
        let extension = body.get(at..)?;
        if next == 44 {
            let offset = number(extension, 2)? / 8;
            packet.fragment = offset != 0 || extension[3] % 2 == 1;
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

/// Errors behind extension headers are taken for any message.
fn behind((control, quotes): (u8, bool), message: &[u8], packet: &mut Packet) -> Option<Kind> {
    let mut claim = |option: u8| {
        if let Some([kind, 1, mac @ ..]) = array::<8>(message, 24)
            && kind == option
        {
            packet.claimed_mac = Mac::new(mac).word();
        }
    };
    if packet.protocol != control {
        (packet.source_port, packet.destination_port) = ports(packet.protocol, message)?;
        return Some(Kind::Ip);
    }
    array::<8>(message, 0)?;
    match (control, message[0]) {
        (1, 3 | 11 | 12) => of_an_answer(packet, quoted_v4(&message[8..])),
        (58, 1..=4) if quotes => of_an_answer(packet, quoted_v6(&message[8..])),
        (58, 134 | 137) => return Some(Kind::RouterMessage),
        (58, 135) => {
            claim(1);
            packet.destination = Address::v6(array(message, 8)?);
            return Some(Kind::Solicitation);
        }
        (58, 136) => {
            claim(2);
            packet.speaks_for = Address::v6(array(message, 8)?);
            return Some(Kind::Advertisement);
        }
        _ => (packet.source_port, packet.destination_port) = ports(packet.protocol, message)?,
    }
    Some(Kind::Ip)
}

/// What an ICMP error quotes: the receiver, the protocol, and the ports if they are there.
type Quoted = (Address, u8, Option<(u16, u16)>);

fn of_an_answer(packet: &mut Packet, quoted: Option<Quoted>) {
    if let Some((receiver, protocol, ports)) = quoted {
        packet.speaks_for = receiver;
        packet.protocol = protocol;
        (packet.destination_port, packet.source_port) = ports.unwrap_or_default();
        packet.error = ports.is_some();
    }
}

fn quoted_v4(quote: &[u8]) -> Option<Quoted> {
    let header: [u8; 20] = array(quote, 0)?;
    let first = number(quote, 6)? % 0x2000 == 0;
    let behind = quote.get(usize::from(header[0] % 16) * 4..).filter(|_| first);
    let ports = behind.and_then(|segment| ports(header[9], segment));
    Some((Address::v4(array(quote, 16)?), header[9], ports))
}

fn quoted_v6(quote: &[u8]) -> Option<Quoted> {
    let receiver = Address::v6(array(quote, 24)?);
    let segment = &quote[40..];
    if quote[6] != 44 {
        return Some((receiver, quote[6], ports(quote[6], segment)));
    }
    let Some([protocol, _, high, low]) = array::<4>(segment, 0) else {
        return Some((receiver, 44, None));
    };
    let first = u16::from_be_bytes([high, low]) < 8;
    let behind = segment.get(8..).filter(|_| first);
    Some((receiver, protocol, behind.and_then(|segment| ports(protocol, segment))))
}

/// Both ports, or the identifier of an echo for both; 0 where the protocol has none.
fn ports(protocol: u8, segment: &[u8]) -> Option<(u16, u16)> {
    let at = |offset| array(segment, offset).map(u16::from_ne_bytes);
    match protocol {
        6 | 17 | 33 | 132 | 136 => Some((at(0)?, at(2)?)),
        1 | 58 => {
            let echo = if protocol == 1 { [0, 8] } else { [128, 129] };
            let identifier = at(4)?;
            Some(if echo.contains(&segment[0]) { (identifier, identifier) } else { (0, 0) })
        }
        _ => Some((0, 0)),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(array(bytes, at)?))
}
