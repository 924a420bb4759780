//! What becomes of a packet that is to a Service, or of one: the very translation of the programs, which
//! writes nothing here.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use netpath_common::{
    Address, Affinity, AffinityKey, Backend, Connection, Connections, FlowKey, Hook, NotNoted,
    Packet, Service, ServiceKey, Services, Verdict,
    decide::{Crossing, Translated, Work, onward, translate},
};
use nix::time::{ClockId, clock_gettime};

use super::Live;

/// What a packet becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Whom the receiver sees.
    pub source: SocketAddr,
    /// Who receives it.
    pub destination: SocketAddr,
    /// It belongs to a connection that is noted; else a backend would be chosen for it, perhaps another
    /// one, and it would be sent from another port if the node's address hides the client.
    pub known: bool,
}

/// Goes on where the verdict was to translate. TCP's packets are taken for first ones unless they belong
/// to a connection.
pub(super) fn go_on(
    tables: &Live<'_>,
    packet: Packet,
    hook: Hook,
    ifindex: u32,
    verdict: &Verdict,
) -> (Verdict, Option<Translation>) {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let crossing = Crossing {
        hook,
        ifindex,
        sender: verdict.sender,
        tcp: 0,
        fragment: 0,
        random: 0,
        now: nanoseconds,
    };
    let mut work = Work::default();
    work.packet = packet;
    let known = tables.datapath.connections.get(&FlowKey::of(&packet), 0).is_ok();
    match translate(tables, &mut work, &crossing) {
        Translated::Refused(reason) => (Verdict::drop(reason), None),
        Translated::Unchanged => (onward(tables, &work, &crossing, false), None),
        Translated::Changed => {
            let Packet { source, destination, source_port, destination_port, .. } = work.packet;
            let (source, destination) =
                (end(source, source_port), end(destination, destination_port));
            let verdict = onward(tables, &work, &crossing, true);
            (verdict, Some(Translation { source, destination, known }))
        }
    }
}

fn end(address: Address, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(address), u16::from_be(port))
}

/// A tuple, for people.
pub(super) struct Tuple<'a>(pub(super) &'a FlowKey);

impl fmt::Display for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FlowKey { source, destination, source_port, destination_port, protocol: _ } = *self.0;
        write!(f, "{} to {}", end(source, source_port), end(destination, destination_port))
    }
}

impl Services for Live<'_> {
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        let found = self.datapath.services.look_up(key);
        let question = format!("services: {}", end(key.address, key.port));
        self.note(question, found, |service| {
            let how = if service.is_hashed() { "by a hash of the client" } else { "at random" };
            let stays = match service.affinity {
                0 => String::new(),
                seconds => format!(", a client stays for {seconds} s"),
            };
            let (inside, outside) = (service.inside.count, service.outside.count);
            format!(
                "{inside} shares for who is inside, {outside} for the wire; chosen {how}{stays}"
            )
        })
        .map(|found| *found)
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        self.datapath.services.leads_to(slot)
    }

    fn backend(&self, place: u32) -> Option<Backend> {
        let found = self.datapath.services.backend(place);
        self.note(format!("backends: place {place}"), found, |backend| {
            if backend.is_there() {
                end(backend.address, backend.port).to_string()
            } else {
                "nobody any more".to_owned()
            }
        })
        .map(|found| *found)
    }

    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        let found = self.datapath.affinities.get(key, 0).ok();
        self.note(format!("affinities: {}", key.client), found, |affinity| {
            format!("stays with place {}", affinity.backend.place)
        })
        .map(|found| *found)
    }

    fn is_admitted(&self, service: u32, address: &Address) -> bool {
        let found = self.datapath.admits(service, *address).then_some(());
        self.note(format!("service_sources: {address}"), found, |()| "admitted".to_owned())
            .is_some()
    }
}

impl Connections for Live<'_> {
    fn note(&self, _: &FlowKey, _: &Connection, _: bool) -> Result<(), NotNoted> {
        Ok(())
    }

    fn renew(&self, _: &FlowKey, _: u32, _: u64) {}

    fn forget(&self, _: &FlowKey) {}

    fn fragment(&self, _: &FlowKey) -> Option<[u16; 2]> {
        None
    }

    fn note_fragment(&self, _: &FlowKey, _: [u16; 2]) {}

    fn stay(&self, _: &AffinityKey, _: &Affinity) {}

    fn open(&self, _: u32) {}
}
