//! The `connections` map, which the programs fill.

use std::{os::fd::AsFd as _, time::Duration};

use aya::maps::{HashMap, IterableMap as _, Map, MapData, MapError};
use netpath_common::{Connection, FlowKey};

use super::{Datapath, Error, batch, namespaces::absent};

const MAP: &str = "connections";
/// `BPF_EXIST` of `linux/bpf.h`.
const EXIST: u64 = 2;

/// The connections, for whoever works on them beside the node: all of them may be many.
#[derive(Debug)]
pub struct Connections {
    map: HashMap<MapData, FlowKey, Connection>,
}

impl Datapath {
    /// The connections, by a descriptor of their own.
    pub fn connections(&self) -> Result<Connections, Error> {
        let own = self.connections.map().fd().as_fd().try_clone_to_owned();
        own.map_err(MapError::IoError)
            .and_then(MapData::from_fd)
            .and_then(|data| HashMap::try_from(Map::HashMap(data)))
            .map(|map| Connections { map })
            .map_err(Error::map(MAP))
    }
}

impl Connections {
    /// Shows all entries: each connection has two.
    pub fn each(&self, show: impl FnMut(FlowKey, Connection)) -> Result<(), Error> {
        batch::each(&self.map, show).map_err(Error::map(MAP))
    }

    /// How many entries there can be.
    pub fn capacity(&self) -> Result<u32, Error> {
        self.map.map().info().map(|info| info.max_entries()).map_err(Error::map(MAP))
    }

    /// How many entries there are.
    pub fn count(&self) -> Result<usize, Error> {
        let mut count = 0;
        self.each(|_, _| count += 1)?;
        Ok(count)
    }

    /// The entry of a direction.
    pub fn get(&self, key: &FlowKey) -> Result<Option<Connection>, Error> {
        match self.map.get(key, 0) {
            Ok(connection) => Ok(Some(connection)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(Error::map(MAP)(error)),
        }
    }

    /// Notes that a direction was used. One that is not there is no error.
    pub fn renew(&mut self, key: &FlowKey, now: Duration) -> Result<(), Error> {
        let Some(known) = self.get(key)? else { return Ok(()) };
        let seen = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let renewed = self.map.insert(key, Connection { seen, ..known }, EXIST);
        absent(renewed).map_err(Error::map(MAP))
    }

    /// Removes the entry of a direction. One that is not there is no error.
    pub fn remove(&mut self, key: &FlowKey) -> Result<(), Error> {
        absent(self.map.remove(key)).map_err(Error::map(MAP))
    }
}
