//! The `flows` map, which the programs fill.

use netpath_common::FlowKey;

use super::{Datapath, Error, endpoints::absent};

const MAP: &str = "flows";

impl Datapath {
    /// Forgets flows, as when one of their ends is removed: the address may get a new owner, whose
    /// packets must not take the old one's path.
    pub fn forget_flows(&mut self, which: impl Fn(&FlowKey) -> bool) -> Result<(), Error> {
        let keys: Vec<FlowKey> =
            self.flows.keys().collect::<Result<_, _>>().map_err(Error::map(MAP))?;
        for key in keys.iter().filter(|key| which(key)) {
            // The oldest flow may have given way in the meantime.
            absent(self.flows.remove(key)).map_err(Error::map(MAP))?;
        }
        Ok(())
    }
}
