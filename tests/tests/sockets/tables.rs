//! The tables of Services, written by hand.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use netpath_common::{ABI, Backend, Run, Service, ServiceKey};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// Both protocols.
pub(crate) const PROTOCOLS: [u8; 2] = [TCP, UDP];

/// The maps, and what of them is used.
pub(crate) struct Tables {
    services: HashMap<MapData, ServiceKey, Service>,
    slots: Array<MapData, u32>,
    backends: Array<MapData, Backend>,
    id: u32,
    slot: u32,
    place: u32,
}

/// A Service that was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    key: ServiceKey,
    service: Service,
    places: Vec<(u32, Backend)>,
}

impl Tables {
    pub(crate) fn open(pins: &Path) -> Result<Self> {
        let map = |name| MapData::from_pin(pins.join(format!("v{ABI}")).join(name)).context(name);
        Ok(Self {
            services: Map::HashMap(map("services")?).try_into()?,
            slots: Map::Array(map("service_slots")?).try_into()?,
            backends: Map::Array(map("backends")?).try_into()?,
            id: 0,
            slot: 0,
            place: 0,
        })
    }

    /// Writes a Service with backends of its own.
    pub(crate) fn put(
        &mut self,
        key: ServiceKey,
        backends: &[SocketAddr],
        affinity: u32,
    ) -> Result<Written> {
        let mut places = Vec::new();
        for address in backends {
            let backend = Backend {
                address: address.ip().into(),
                port: address.port().to_be(),
                protocol: key.protocol,
                generation: 1,
            };
            places.push((self.place, backend));
            self.backends.set(self.place, backend, 0)?;
            self.place += 1;
        }
        self.id += 1;
        let service = Service { id: self.id, affinity, ..Service::default() };
        let mut written = Written { key, service, places };
        self.lead(&mut written)?;
        Ok(written)
    }

    /// Writes a run of the backends that are there, and the Service that has it.
    fn lead(&mut self, written: &mut Written) -> Result<()> {
        let first = self.slot;
        for (place, _) in &written.places {
            self.slots.set(self.slot, place, 0)?;
            self.slot += 1;
        }
        written.service.inside = Run { first, count: u32::try_from(written.places.len())? };
        Ok(self.services.insert(written.key, written.service, 0)?)
    }

    /// Lets a backend go.
    pub(crate) fn lose(&mut self, written: &mut Written, backend: SocketAddr) -> Result<()> {
        let is_lost = |(_, known): &(u32, Backend)| {
            known.address == backend.ip().into() && known.port == backend.port().to_be()
        };
        let at = written.places.iter().position(is_lost).context("no backend of the Service")?;
        let (place, lost) = written.places.remove(at);
        self.lead(written)?;
        Ok(self.backends.set(place, Backend { generation: 0, ..lost }, 0)?)
    }

    pub(crate) fn remove(&mut self, written: &Written) -> Result<()> {
        Ok(self.services.remove(&written.key)?)
    }
}

/// The key of an address.
pub(crate) fn key(address: SocketAddr, protocol: u8) -> ServiceKey {
    ServiceKey::new(address.ip().into(), address.port().to_be(), protocol)
}

/// The key of a node port in the family of an address.
pub(crate) fn node_port(address: SocketAddr, protocol: u8) -> ServiceKey {
    ServiceKey::any_of_node(&address.ip().into(), address.port().to_be(), protocol)
}
