//! The tables of Services, written as an agent does.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use netpath_agent::{
    datapath::Datapath,
    service::{BackendKey, Entry},
};
use netpath_common::ServiceKey;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// Both protocols.
pub(crate) const PROTOCOLS: [u8; 2] = [TCP, UDP];

/// What writes them.
pub(crate) struct Tables {
    pub(crate) datapath: Datapath,
    id: u32,
}

/// A Service that was written.
#[derive(Debug)]
pub(crate) struct Written {
    key: ServiceKey,
    entry: Entry,
}

impl Tables {
    pub(crate) fn new(datapath: Datapath) -> Self {
        Self { datapath, id: 0 }
    }

    /// Writes a Service.
    pub(crate) fn put(
        &mut self,
        key: ServiceKey,
        backends: &[SocketAddr],
        affinity: u32,
    ) -> Result<Written> {
        self.id += 1;
        let inside = backends.iter().map(|backend| backend_key(*backend, key.protocol)).collect();
        let entry = Entry { id: self.id, affinity, flags: 0, inside, outside: [].into() };
        self.datapath.put_service(key, &entry)?;
        Ok(Written { key, entry })
    }

    /// Lets a backend go.
    pub(crate) fn lose(&mut self, written: &mut Written, backend: SocketAddr) -> Result<()> {
        let lost = backend_key(backend, written.key.protocol);
        let left = written.entry.inside.iter().copied().filter(|known| *known != lost);
        written.entry.inside = left.collect();
        self.datapath.put_service(written.key, &written.entry)?;
        self.datapath.settle_services();
        Ok(())
    }

    pub(crate) fn remove(&mut self, written: &Written) -> Result<()> {
        self.datapath.remove_service(&written.key).context("remove a Service")?;
        self.datapath.settle_services();
        Ok(())
    }
}

fn backend_key(backend: SocketAddr, protocol: u16) -> BackendKey {
    BackendKey { address: backend.ip().into(), port: backend.port().to_be(), protocol }
}

/// The key of an address.
pub(crate) fn key(address: SocketAddr, protocol: u8) -> ServiceKey {
    ServiceKey::new(address.ip().into(), address.port().to_be(), protocol)
}

/// The key of a node port in the family of an address.
pub(crate) fn node_port(address: SocketAddr, protocol: u8) -> ServiceKey {
    ServiceKey::any_of_node(&address.ip().into(), address.port().to_be(), protocol)
}
