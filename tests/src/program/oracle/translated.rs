//! What becomes of a frame to a Service, or from one: other addresses and ports, and every checksum made
//! anew over all that it covers.

use netpath_common::{
    Address, Hook, Packet, Reason, Verdict,
    decide::{self, Crossing, Translated, Work, onward, translate},
    endpoint::NO_SLOT,
};

use super::{
    super::checksum::{adjust, sum},
    Arrival, Counters, Outcome, Plain, carry_out, count,
};

/// Says what comes out, and moves the counters.
pub(super) fn expect(
    tables: &Plain,
    arrival: &Arrival,
    packet: Packet,
    (verdict, parent): (&Verdict, u32),
    random: u32,
    counters: &mut Counters,
) -> Outcome {
    let Arrival { hook, frame, .. } = arrival;
    let mut work = Work::default();
    work.packet = packet;
    let at = usize::from(packet.transport);
    let is_tcp = packet.protocol == 6 && !packet.error && at != 0;
    let crossing = Crossing {
        hook: *hook,
        ifindex: parent,
        sender: verdict.sender,
        tcp: if is_tcp { frame.get(at + 13).copied().unwrap_or(0) } else { 0 },
        fragment: number(&packet, frame),
        random,
        now: 0,
    };
    let (decided, frame) = match translate(tables, &mut work, &crossing) {
        Translated::Refused(reason) => (Verdict::drop(reason), frame.clone()),
        Translated::Unchanged => (onward(tables, &work, &crossing, false), frame.clone()),
        Translated::Changed => match rewritten(frame, &work) {
            Some(frame) => (onward(tables, &work, &crossing, true), frame),
            None => (Verdict::drop(Reason::RewriteFailed), frame.clone()),
        },
    };
    let decided = decided.from(verdict.sender);
    let decided = if verdict.receiver == NO_SLOT { decided } else { decided.to(verdict.receiver) };
    count(&decided, parent, *hook, frame.len(), counters);
    debug_assert!(*hook != Hook::Xdp, "XDP translates nothing");
    carry_out(&decided, &work.packet, arrival, &frame)
}

/// The random number that has a program send from this port at this attempt, if it is one of those that
/// hide clients.
#[must_use]
pub fn random_for(port: u16, attempt: u32) -> Option<u32> {
    let (first, ports) = decide::HIDING_PORTS;
    let share = u64::from(u32::from(port).checked_sub(first)?);
    let least = (share << 32).div_ceil(u64::from(ports));
    let random = u32::try_from(least).ok()?;
    Some(random.wrapping_sub(attempt.wrapping_mul(decide::NEXT_TRY)))
}

/// The number of the packet that a fragment is of, as it lies in memory.
fn number(packet: &Packet, frame: &[u8]) -> u32 {
    let bytes = |at: usize, length: usize| frame.get(at..at + length);
    match (packet.fragment, packet.source.is_v4()) {
        (false, _) => 0,
        (true, true) => bytes(18, 2).map_or(0, |it| u16::from_ne_bytes([it[0], it[1]]).into()),
        (true, false) => {
            bytes(58, 4).map_or(0, |it| u32::from_ne_bytes([it[0], it[1], it[2], it[3]]))
        }
    }
}

/// The frame with what the packet has become.
fn rewritten(frame: &[u8], work: &Work) -> Option<Vec<u8>> {
    let Work { packet, key, connection, .. } = work;
    let mut frame = frame.to_vec();
    let at = usize::from(packet.transport);
    let is_v4 = packet.source.is_v4();
    if packet.error {
        let inner = at + 8;
        let ends = [packet.destination, connection.source];
        let ports = if is_v4 { inner + usize::from(frame[inner] % 16) * 4 } else { inner + 40 };
        let before = sum(&frame[inner..(ports + 4).min(frame.len())]);
        addresses(&mut frame, inner, ends);
        if (key.source_port, key.destination_port) != (packet.source_port, packet.destination_port)
        {
            frame
                .get_mut(ports..ports + 2)?
                .copy_from_slice(&packet.destination_port.to_ne_bytes());
            frame.get_mut(ports + 2..ports + 4)?.copy_from_slice(&packet.source_port.to_ne_bytes());
        }
        let after = sum(&frame[inner..(ports + 4).min(frame.len())]);
        adjust(&mut frame, at + 2, before, after);
    } else if at != 0 {
        frame[at..at + 2].copy_from_slice(&packet.source_port.to_ne_bytes());
        frame[at + 2..at + 4].copy_from_slice(&packet.destination_port.to_ne_bytes());
        let ports = |source: u16, destination: u16| {
            [source.to_ne_bytes(), destination.to_ne_bytes()].concat()
        };
        let before = sum(&ports(key.source_port, key.destination_port));
        let after = sum(&ports(packet.source_port, packet.destination_port));
        match packet.protocol {
            6 => adjust(&mut frame, at + 16, before, after),
            17 if frame.get(at + 6..at + 8)? != [0, 0] => {
                adjust(&mut frame, at + 6, before, after);
            }
            _ => {}
        }
    }
    let checksum = match packet.protocol {
        _ if at == 0 => None,
        _ if packet.error => (!is_v4).then_some(at + 2),
        6 => Some(at + 16),
        17 if frame.get(at + 6..at + 8)? != [0, 0] => Some(at + 6),
        _ => None,
    };
    if let Some(checksum) = checksum {
        let ends = |ends: &[Address; 2]| sum(&[ends[0].octets, ends[1].octets].concat());
        let after = ends(&[packet.source, packet.destination]);
        adjust(&mut frame, checksum, ends(&work.ends), after);
    }
    addresses(&mut frame, 14, [packet.source, packet.destination]);
    Some(frame)
}

/// Writes the addresses of an IP header; IPv4's has a checksum of its own.
fn addresses(frame: &mut [u8], header: usize, [source, destination]: [Address; 2]) {
    if !source.is_v4() {
        frame[header + 8..header + 24].copy_from_slice(&source.octets);
        frame[header + 24..header + 40].copy_from_slice(&destination.octets);
        return;
    }
    let before = sum(&frame[header + 12..header + 20]);
    frame[header + 12..header + 16].copy_from_slice(&source.octets[12..]);
    frame[header + 16..header + 20].copy_from_slice(&destination.octets[12..]);
    let after = sum(&frame[header + 12..header + 20]);
    adjust(frame, header + 10, before, after);
}
