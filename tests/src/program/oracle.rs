//! What a program must do with a frame: the second parser, the decision itself over plain tables,
//! and the rewriting spelled out once more.

use netpath_common::{
    Action, CounterKey, Hook, Kind, MARK_REDIRECTED, Mac, Packet, Path, Reason, Verdict,
    decide::{self, Origin},
    endpoint::{DEVICE_MAC, NO_SLOT},
    neighbour::{Question, advertisement, arp_reply},
};

mod translated;

pub use self::translated::random_for;
use super::{Arrival, Counter, Counters, Outcome, Return, plain::Plain, read};

/// Says what comes out, and moves the counters.
#[must_use]
pub fn expect(tables: &Plain, arrival: &Arrival, counters: &mut Counters) -> Outcome {
    expect_with(tables, arrival, 0, counters)
}

/// The same, with the random number that the program had.
#[must_use]
pub fn expect_with(
    tables: &Plain,
    arrival: &Arrival,
    random: u32,
    counters: &mut Counters,
) -> Outcome {
    let Arrival { hook, ifindex, forwarded, namespace, mark, frame } = arrival;
    let unchanged = |result, mark| Outcome { result, frame: frame.clone(), mark };
    if matches!(hook, Hook::Ingress | Hook::ToEndpoint) && *mark == MARK_REDIRECTED {
        return unchanged(Return::Pass, 0);
    }
    let packet = read::packet(frame);
    let origin = Origin { ifindex: *ifindex, forwarded: *forwarded, namespace: *namespace };
    let on = |verdict| (verdict, *ifindex);
    let (verdict, parent) = match hook {
        Hook::Egress => on(decide::egress(tables, &packet, origin, || false)),
        Hook::Ingress => on(decide::ingress(tables, &packet, *ifindex, *namespace)),
        Hook::FromEndpoint => decide::from_endpoint(tables, &packet, *ifindex),
        Hook::ToEndpoint => decide::to_endpoint(tables, &packet, origin),
        Hook::Loopback => match decide::loopback(tables, &packet) {
            Some(verdict) => verdict,
            None => return unchanged(Return::Pass, *mark),
        },
        Hook::Xdp => match decide::wire(tables, &packet, *ifindex) {
            Some(reason) => on(Verdict::drop(reason)),
            None => return unchanged(Return::Pass, 0),
        },
    };
    if verdict.record {
        tables.record(&packet);
    }
    if verdict.action == Action::Translate {
        return translated::expect(tables, arrival, packet, (&verdict, parent), random, counters);
    }
    count(&verdict, parent, *hook, frame.len(), counters);
    carry_out(&verdict, &packet, arrival, frame)
}

/// What becomes of a frame by a verdict; the frame may be another than that which arrived.
fn carry_out(verdict: &Verdict, packet: &Packet, arrival: &Arrival, frame: &[u8]) -> Outcome {
    let Arrival { hook, mark, .. } = arrival;
    let unchanged = |result, mark| Outcome { result, frame: frame.to_vec(), mark };
    match verdict.action {
        Action::Translate => unreachable!("what is translated comes to another verdict"),
        Action::Pass => unchanged(Return::Pass, *mark),
        Action::Drop => unchanged(Return::Drop, if *hook == Hook::Xdp { 0 } else { *mark }),
        // Without a neighbour that the kernel knows: the kernel asks for it.
        Action::NextHop => unchanged(Return::Redirect, *mark),
        Action::Forward => unchanged(Return::Redirect, MARK_REDIRECTED),
        Action::Peer => Outcome {
            result: Return::Redirect,
            frame: addressed(frame, verdict.mac.into(), DEVICE_MAC),
            mark: *mark,
        },
        Action::Send => Outcome {
            result: Return::Redirect,
            frame: addressed(frame, verdict.mac.into(), DEVICE_MAC),
            mark: MARK_REDIRECTED,
        },
        Action::Reply => Outcome {
            result: Return::Redirect,
            frame: answer(frame, packet, verdict.mac.into(), Some(verdict.mac.into())),
            mark: *mark,
        },
        Action::Receive => Outcome {
            result: Return::Redirect,
            frame: addressed(frame, verdict.mac.into(), verdict.mac.into()),
            mark: MARK_REDIRECTED,
        },
        Action::Enter => Outcome {
            result: Return::Redirect,
            frame: addressed(frame, verdict.mac.into(), packet.source_mac.into()),
            mark: 0,
        },
        Action::Answer => Outcome {
            result: Return::Redirect,
            frame: answer(frame, packet, verdict.mac.into(), None),
            mark: MARK_REDIRECTED,
        },
    }
}

fn count(verdict: &Verdict, parent: u32, hook: Hook, bytes: usize, counters: &mut Counters) {
    let Verdict { sender, receiver, .. } = *verdict;
    let key = key(parent, hook, verdict.path(), verdict.reason());
    let counted = [
        Some(Counter::Verdict(key)),
        (sender != NO_SLOT).then_some(Counter::Sent(sender)),
        (receiver != NO_SLOT).then_some(Counter::Received(receiver)),
    ];
    for counter in counted.into_iter().flatten() {
        let entry = counters.entry(counter).or_default();
        entry.0 += 1;
        entry.1 += bytes as u64;
    }
}

/// The key of a counter.
#[must_use]
pub const fn key(parent: u32, hook: Hook, path: Path, reason: Reason) -> CounterKey {
    CounterKey { parent, hook: hook as u8, path: path as u8, reason: reason as u16 }
}

/// The frame with other Ethernet addresses.
#[must_use]
pub fn addressed(frame: &[u8], destination: Mac, source: Mac) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[..6].copy_from_slice(&destination.octets);
    frame[6..12].copy_from_slice(&source.octets);
    frame
}

/// The answer to a question: from this address on the wire, or for a parent to receive. Its bytes are
/// checked by `netpath_common::neighbour`'s own tests.
#[must_use]
pub fn answer(frame: &[u8], packet: &Packet, mac: Mac, from: Option<Mac>) -> Vec<u8> {
    let question = Question::of(packet);
    let mut answer = match from {
        Some(from) => addressed(frame, question.asker_mac, from),
        None => addressed(frame, packet.source_mac.into(), packet.source_mac.into()),
    };
    if packet.kind == Kind::ArpRequest {
        // What pads the frame to Ethernet's minimum stays.
        answer[14..42].copy_from_slice(&arp_reply(&question, mac));
    } else {
        answer.truncate(14);
        answer.extend(advertisement(&question, mac));
    }
    answer
}
