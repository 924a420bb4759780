//! Where a packet leads that [`translate`](super::translate) has looked at.

use super::{
    delivery,
    destination::{self, Destination},
    translate::{Crossing, Work},
};
use crate::{
    Action, Address, Endpoint, FlowKey, Hook, Mac, Packet, Path, Reason, Tables, Verdict,
    route::TABLE_MAIN,
};

/// Decides on the packet of `work`: what it has become, if it has `changed`.
///
/// The host stack gets it by the kernel entry, where no source check asks by which device a Service's
/// address should come.
#[inline(always)]
pub fn onward<T: Tables>(tables: &T, work: &Work, crossing: &Crossing, changed: bool) -> Verdict {
    let Work { packet, key, .. } = work;
    let reason = |otherwise| if changed { Reason::Service } else { otherwise };
    let table = table_of(tables, key);
    if crossing.hook == Hook::ToEndpoint {
        return Verdict::pass(Path::Local, reason(Reason::StackRouted));
    }
    match destination::behind_service(tables, table, &packet.destination) {
        Destination::Endpoint(endpoint) => {
            let verdict = to_endpoint(tables, packet, crossing, &endpoint);
            if changed && verdict.action != Action::Drop {
                return verdict.because(Reason::Service);
            }
            verdict
        }
        Destination::Host | Destination::Service => to_host(tables, packet, crossing, changed),
        Destination::Route(route) => match Path::from_u8(route.path) {
            Some(Path::Router) if route.has_next_hop() && crossing.hook != Hook::Ingress => {
                Verdict::new(Path::Router, reason(Reason::Route), Action::NextHop)
                    .at(crossing.ifindex, Mac::new([0; 6]))
            }
            Some(Path::Router) => to_wire(crossing, reason(Reason::Route), work),
            Some(Path::Host | Path::Kernel) => destination::enter(tables, reason(Reason::Route)),
            Some(Path::Local) => Verdict::drop(Reason::NoEndpoint),
            Some(Path::Drop) | None => Verdict::drop(Reason::Blackhole),
        },
        Destination::Unknown => to_wire(crossing, reason(Reason::NoRoute), work),
    }
}

/// The next hop of a packet whose verdict is [`Action::NextHop`].
#[inline(always)]
pub fn next_hop_onward<T: Tables>(tables: &T, work: &Work) -> Option<Address> {
    let table = table_of(tables, &work.key);
    let route = destination::route(tables, table, &work.packet.destination)?;
    route.next_hop(FlowKey::of(&work.packet).digest())
}

/// The route table of whoever sent it, before anybody else was put in the place.
#[inline(always)]
fn table_of<T: Tables>(tables: &T, key: &FlowKey) -> u32 {
    tables.endpoint(&key.source).map_or(TABLE_MAIN, |sender| sender.table)
}

#[inline(always)]
fn to_endpoint<T: Tables>(
    tables: &T,
    packet: &Packet,
    crossing: &Crossing,
    endpoint: &Endpoint,
) -> Verdict {
    // What the loopback device has carries the route of its way in, which would go along into the pod's
    // namespace (5.10: TCP over IPv6 fails there).
    let leaves = matches!(crossing.hook, Hook::Egress | Hook::Loopback);
    if endpoint.is_stacked() {
        let action = if leaves { Action::Send } else { Action::Peer };
        return if tables.endpoint(&packet.source).is_some_and(|source| source.is_host()) {
            delivery::past_stack(endpoint, action)
        } else {
            destination::enter(tables, Reason::NotAccelerated).to(endpoint.slot)
        };
    }
    match crossing.hook {
        Hook::Ingress => delivery::from_wire(endpoint, packet, crossing.ifindex),
        _ if leaves => delivery::from_egress(tables, endpoint),
        _ => delivery::from_ingress(endpoint),
    }
}

#[inline(always)]
fn to_host<T: Tables>(tables: &T, packet: &Packet, crossing: &Crossing, changed: bool) -> Verdict {
    if changed {
        return destination::enter(tables, Reason::Service);
    }
    if crossing.hook != Hook::Egress {
        return Verdict::pass(Path::Host, Reason::HostAddress);
    }
    match tables.endpoint(&packet.source) {
        Some(sender) if !sender.is_host() => {
            destination::to_host(tables, Reason::HostAddress, crossing.ifindex, &sender)
        }
        _ => Verdict::pass(Path::Router, Reason::StackRouted),
    }
}

/// By a parent. The neighbour that a sender chose is right as long as the destination is.
#[inline(always)]
fn to_wire(crossing: &Crossing, reason: Reason, work: &Work) -> Verdict {
    let moved = work.packet.destination != work.key.destination;
    if crossing.hook == Hook::Egress && !moved {
        return Verdict::pass(Path::Router, reason);
    }
    if crossing.hook == Hook::Ingress && !moved {
        return Verdict::pass(Path::Kernel, Reason::Transit);
    }
    Verdict::new(Path::Router, reason, Action::Forward).at(crossing.ifindex, Mac::new([0; 6]))
}
