//! Services and connections as plain collections.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use netpath_agent::service::BackendKey;
use netpath_common::{
    Address, Affinity, AffinityKey, Backend, Connection, Connections, FlowKey, NotNoted, Run,
    Service, ServiceKey, Services,
};

use super::plain::Plain;

/// What the programs remember of connections.
#[derive(Clone, Debug, Default)]
pub struct Translated {
    connections: HashMap<FlowKey, Connection>,
    fragments: HashMap<FlowKey, [u16; 2]>,
    affinities: HashMap<AffinityKey, Affinity>,
    opened: BTreeSet<u32>,
}

impl Translated {
    /// What packets with a tuple become.
    #[must_use]
    pub fn connection(&self, key: &FlowKey) -> Option<Connection> {
        self.connections.get(key).copied()
    }

    /// Whether packets of the endpoint in a slot may belong to a connection.
    #[must_use]
    pub fn is_open(&self, slot: u32) -> bool {
        self.opened.contains(&slot)
    }
}

/// Slots are numbered by Service, 256 a list; a backend's place is the number of a slot that leads to it.
const LIST: u32 = 256;

impl Plain {
    fn answers(&self, slot: u32) -> Option<&BackendKey> {
        let (entry, _) = self.services.values().nth((slot / (2 * LIST)) as usize)?;
        let list = if slot % (2 * LIST) < LIST { &entry.inside } else { &entry.outside };
        list.get((slot % LIST) as usize)
    }
}

impl Services for Plain {
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        let number = u32::try_from(self.services.keys().position(|it| it == key)?).ok()?;
        let (entry, _) = &self.services[key];
        let run = |first, list: &[BackendKey]| {
            Some(Run { first, count: u32::try_from(list.len()).ok()? })
        };
        Some(Service {
            id: entry.id,
            affinity: entry.affinity,
            inside: run(number * 2 * LIST, &entry.inside)?,
            outside: run(number * 2 * LIST + LIST, &entry.outside)?,
            flags: entry.flags,
            reserved: 0,
        })
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        self.answers(slot).map(|_| slot)
    }

    fn backend(&self, place: u32) -> Option<Backend> {
        let BackendKey { address, port, protocol } = *self.answers(place)?;
        Some(Backend { address, port, protocol, generation: 1 })
    }

    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        self.translated.borrow().affinities.get(key).copied()
    }

    fn is_admitted(&self, service: u32, address: &Address) -> bool {
        let sources = self.services.values().filter(|(entry, _)| entry.id == service);
        sources.flat_map(|(_, sources)| sources).any(|it| it.contains(&IpAddr::from(*address)))
    }
}

impl Connections for Plain {
    fn note(&self, key: &FlowKey, connection: &Connection, replace: bool) -> Result<(), NotNoted> {
        let mut translated = self.translated.borrow_mut();
        if !replace && translated.connections.contains_key(key) {
            return Err(NotNoted::Taken);
        }
        translated.connections.insert(*key, *connection);
        Ok(())
    }

    fn renew(&self, key: &FlowKey, flags: u32, now: u64) {
        if let Some(known) = self.translated.borrow_mut().connections.get_mut(key) {
            known.flags |= flags;
            known.seen = now;
        }
    }

    fn forget(&self, key: &FlowKey) {
        self.translated.borrow_mut().connections.remove(key);
    }

    fn fragment(&self, key: &FlowKey) -> Option<[u16; 2]> {
        self.translated.borrow().fragments.get(key).copied()
    }

    fn note_fragment(&self, key: &FlowKey, ports: [u16; 2]) {
        self.translated.borrow_mut().fragments.insert(*key, ports);
    }

    fn stay(&self, key: &AffinityKey, affinity: &Affinity) {
        self.translated.borrow_mut().affinities.insert(*key, *affinity);
    }

    fn open(&self, slot: u32) {
        self.translated.borrow_mut().opened.insert(slot);
    }
}
