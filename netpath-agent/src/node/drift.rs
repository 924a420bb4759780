//! Whether the host stack would take a packet where the programs do.

use std::net::IpAddr;

use netpath_common::{Path, Reason, Verdict};

use crate::netlink::Answer;

/// Whether both disagree on the device or the next hop of a packet that crosses `parent`. Where a route
/// names next hops, any of them is right; where it names none, the sender has chosen.
///
/// What the programs leave to the host stack is its own to decide, and what they drop for other reasons
/// than a route is no matter of routes.
pub(super) fn differs(verdict: &Verdict, parent: u32, hops: &[IpAddr], kernel: &Answer) -> bool {
    let sent = match kernel {
        Answer::Sent { index, gateway, .. } => Some((*index, *gateway)),
        Answer::Received | Answer::Refused(_) => None,
    };
    match (verdict.path(), verdict.reason()) {
        (Path::Router, Reason::Route | Reason::NoRoute) => sent.is_none_or(|(index, gateway)| {
            let right = |gateway| hops.contains(&gateway);
            index != parent || !hops.is_empty() && !gateway.is_some_and(right)
        }),
        (Path::Local, Reason::Endpoint) => sent.is_none_or(|(index, _)| index != verdict.ifindex),
        (Path::Host, _) => *kernel != Answer::Received,
        (Path::Drop, Reason::Blackhole | Reason::NoEndpoint) => {
            !matches!(kernel, Answer::Refused(_))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use netpath_common::{Action, Mac};

    use super::*;

    const HOPS: [IpAddr; 2] = [by(1), by(2)];

    const fn by(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, last))
    }

    fn sent(index: u32, gateway: Option<IpAddr>) -> Answer {
        Answer::Sent { index, gateway, table: 100 }
    }

    fn refused() -> Answer {
        Answer::Refused("blackhole".to_owned())
    }

    #[test]
    fn a_routed_packet_leaves_by_the_parent_and_one_of_the_hops() {
        let routed = Verdict::new(Path::Router, Reason::Route, Action::NextHop);
        assert!(!differs(&routed, 7, &HOPS, &sent(7, Some(by(2)))));
        assert!(differs(&routed, 7, &HOPS, &sent(7, Some(by(3)))));
        assert!(differs(&routed, 7, &HOPS, &sent(7, None)));
        assert!(differs(&routed, 7, &HOPS, &sent(8, Some(by(1)))));
        assert!(differs(&routed, 7, &HOPS, &Answer::Received));
    }

    #[test]
    fn without_hops_the_neighbour_is_the_senders_choice() {
        let passed = Verdict::pass(Path::Router, Reason::NoRoute);
        assert!(!differs(&passed, 7, &[], &sent(7, Some(by(3)))));
        assert!(differs(&passed, 7, &[], &sent(8, None)));
        assert!(differs(&passed, 7, &[], &refused()));
    }

    #[test]
    fn endpoints_are_reached_by_the_same_device() {
        let local = Verdict::new(Path::Local, Reason::Endpoint, Action::Send).at(9, Mac::BROADCAST);
        assert!(!differs(&local, 7, &[], &sent(9, None)));
        assert!(differs(&local, 7, &[], &sent(7, None)));
    }

    #[test]
    fn only_routes_are_compared() {
        assert!(!differs(&Verdict::drop(Reason::Blackhole), 7, &[], &refused()));
        assert!(differs(&Verdict::drop(Reason::Blackhole), 7, &[], &sent(7, None)));
        assert!(!differs(&Verdict::drop(Reason::SourceNotOwned), 7, &[], &sent(7, None)));
        assert!(!differs(&Verdict::pass(Path::Kernel, Reason::Route), 7, &[], &sent(9, None)));
        assert!(!differs(
            &Verdict::pass(Path::Host, Reason::HostAddress),
            7,
            &[],
            &Answer::Received
        ));
        assert!(differs(&Verdict::pass(Path::Host, Reason::Route), 7, &[], &sent(7, None)));
    }
}
