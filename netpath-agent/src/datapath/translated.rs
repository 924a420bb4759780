//! What the programs remember of translated packets, beside the `connections` themselves.

use std::collections::HashSet;

use aya::{
    Pod,
    maps::{HashMap, MapData},
};
use netpath_common::BackendId;

use super::{Datapath, Error, batch};

impl Datapath {
    /// Forgets all connections and what belongs to them: whoever translates from now on knows nothing of
    /// them.
    pub fn forget_translated(&mut self) -> Result<(), Error> {
        self.node_flows.set(0, 0, 0).map_err(Error::map("node_flows"))?;
        clear("connections", &mut self.connections)?;
        clear("affinities", &mut self.affinities)?;
        clear("fragments", &mut self.fragments)
    }

    /// Forgets the clients of Services, by number, that stay with backends which have left them.
    pub(super) fn forget_affinities(
        &mut self,
        left: &HashSet<(u32, BackendId)>,
    ) -> Result<(), Error> {
        let error = Error::map("affinities");
        for (key, affinity) in batch::entries(&self.affinities).map_err(&error)? {
            if left.contains(&(key.service, affinity.backend)) {
                super::namespaces::absent(self.affinities.remove(&key)).map_err(&error)?;
            }
        }
        Ok(())
    }
}

fn clear<K: Pod, V: Pod>(
    name: &'static str,
    map: &mut HashMap<MapData, K, V>,
) -> Result<(), Error> {
    let entries = batch::entries(map).map_err(Error::map(name))?;
    for (key, _) in entries {
        super::namespaces::absent(map.remove(&key)).map_err(Error::map(name))?;
    }
    Ok(())
}
