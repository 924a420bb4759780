//! The tables, a second reader of them, and what they should have.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData},
};
use netpath_agent::{
    config::{Attach, Capacity},
    datapath::{Datapath, Options, Sockets},
    service::{BackendKey, Entry},
};
use netpath_common::{
    ABI, Address, Affinity, AffinityKey, Backend, BackendId, Connection, FlowKey, Service,
    ServiceKey, Services,
};
use netpath_tests::sandbox::pins::Pins;

pub(crate) const TCP: u8 = 6;

/// Where the tables are.
pub(crate) struct World {
    pins: Pins,
    capacity: Capacity,
}

impl World {
    /// Tables for so many Services and backends.
    pub(crate) fn new(services: u32, backends: u32) -> Result<Self> {
        let (endpoints, routes, flows) = (64, 64, 64);
        let connections = Capacity::default().connections;
        let capacity = Capacity { endpoints, routes, flows, services, backends, connections };
        Ok(Self { pins: Pins::mount()?, capacity })
    }

    /// Opens the tables as an agent does: also as its successor.
    pub(crate) fn open(&self) -> Result<Datapath> {
        let capacity = self.capacity.clone();
        let options = Options {
            pins: self.pins.path(),
            capacity,
            attach: Attach::Auto,
            packets: false,
            sockets: Sockets::Off,
        };
        Datapath::open(&options).context("load the programs")
    }

    /// Makes what was written that of another version.
    pub(crate) fn become_other(&self) -> Result<()> {
        let root = self.pins.path();
        fs::rename(root.join(format!("v{ABI}")), root.join("v1")).context("rename the pins")
    }

    /// The same place with other sizes.
    pub(crate) fn resized(self, services: u32, backends: u32) -> Self {
        let capacity = Capacity { services, backends, ..self.capacity };
        Self { capacity, ..self }
    }

    /// Reads them apart from the agent.
    pub(crate) fn reader(&self) -> Result<Reader> {
        Ok(Reader {
            services: HashMap::try_from(Map::HashMap(self.pinned("services")?))?,
            slots: Array::try_from(Map::Array(self.pinned("service_slots")?))?,
            backends: Array::try_from(Map::Array(self.pinned("backends")?))?,
        })
    }

    /// The connections, for writing.
    pub(crate) fn connections(&self) -> Result<HashMap<MapData, FlowKey, Connection>> {
        Ok(HashMap::try_from(Map::HashMap(self.pinned("connections")?))?)
    }

    fn pinned(&self, name: &str) -> Result<MapData> {
        let path = self.pins.path().join(format!("v{ABI}")).join(name);
        MapData::from_pin(&path).with_context(|| path.display().to_string())
    }
}

/// What programs find.
pub(crate) struct Reader {
    pub(crate) services: HashMap<MapData, ServiceKey, Service>,
    pub(crate) slots: Array<MapData, u32>,
    pub(crate) backends: Array<MapData, Backend>,
}

impl Services for Reader {
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key, 0).ok()
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        get(&self.slots, slot)
    }

    fn backend(&self, place: u32) -> Option<Backend> {
        get(&self.backends, place)
    }

    fn affinity(&self, _: &AffinityKey) -> Option<Affinity> {
        None
    }

    fn is_admitted(&self, _: u32, _: &Address) -> bool {
        true
    }
}

fn get<V: Pod>(array: &Array<MapData, V>, index: u32) -> Option<V> {
    array.get(&index, 0).ok()
}

impl Reader {
    /// Everybody who is there, and where.
    pub(crate) fn there(&self) -> Result<BTreeMap<BackendKey, BackendId>> {
        let mut there = BTreeMap::new();
        for (place, backend) in (0..).zip(self.backends.iter()) {
            let backend = backend?;
            if backend.is_there() {
                let id = BackendId { place, generation: backend.generation };
                let again = there.insert(BackendKey::from(&backend), id);
                ensure!(again.is_none(), "{backend:?} has two places");
            }
        }
        Ok(there)
    }
}

/// What the tables should have.
pub(crate) type Model = BTreeMap<ServiceKey, Entry>;

/// Everybody whom some Service lists.
pub(crate) fn listed(model: &Model) -> impl Iterator<Item = BackendKey> {
    model.values().flat_map(|Entry { inside, outside, .. }| {
        inside.iter().chain(outside.iter()).copied().collect::<Vec<_>>()
    })
}

/// Compares the tables with what they should have.
pub(crate) fn compare(datapath: &Datapath, model: &Model) -> Result<()> {
    let mut found = Model::new();
    datapath.each_service(|key, entry| {
        found.insert(key, entry);
    })?;
    ensure!(found.len() == model.len(), "{} Services, expected {}", found.len(), model.len());
    for (key, entry) in model {
        let found = found.get(key);
        ensure!(found == Some(entry), "{key:?}: {found:?}, expected {entry:?}");
        ensure!(datapath.service(key).as_ref() == Some(entry), "{key:?} by itself");
    }
    Ok(())
}

/// A Service's key, by number.
pub(crate) fn key(number: u32) -> ServiceKey {
    ServiceKey::new(address(0x0a60_0000 + number), 80_u16.to_be(), TCP)
}

/// A backend, by number.
pub(crate) fn backend(number: u32) -> BackendKey {
    let (address, port, protocol) = (address(0x0a00_0000 + number), 8080_u16.to_be(), TCP.into());
    BackendKey { address, port, protocol }
}

fn address(number: u32) -> Address {
    Ipv4Addr::from_bits(number).into()
}

/// A Service with the same backends for both sides.
pub(crate) fn entry(id: u32, numbers: impl IntoIterator<Item = u32>) -> Entry {
    let inside: Arc<[_]> = numbers.into_iter().map(backend).collect();
    Entry { id, affinity: 0, flags: 0, outside: Arc::clone(&inside), inside }
}
