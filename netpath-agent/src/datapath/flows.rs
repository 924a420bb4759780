//! The `flows` map, which the programs fill.

use netpath_common::{Address, Flow, FlowKey};

use super::{Datapath, Error, batch, namespaces::absent};

const MAP: &str = "flows";

impl Datapath {
    /// Forgets the flows of an endpoint that is gone: its addresses may get a new owner, whose
    /// packets must not take the old one's path.
    pub fn retire(&mut self, slot: u32, addresses: &[Address]) -> Result<(), Error> {
        let gate = self.endpoint_flows.get(&slot, 0).map_err(Error::map("endpoint_flows"))?;
        if gate == 0 {
            return Ok(());
        }
        let gone = |address: &Address| addresses.contains(address);
        self.forget_flows(|flow| gone(&flow.source) || gone(&flow.destination))
    }

    /// All flows.
    pub fn flows(&self) -> Result<Vec<(FlowKey, Flow)>, Error> {
        batch::entries(&self.flows).map_err(Error::map(MAP))
    }

    /// Forgets flows.
    pub fn forget_flows(&mut self, which: impl Fn(&FlowKey) -> bool) -> Result<(), Error> {
        let keys: Vec<_> = self.flows()?.into_iter().map(|(key, _)| key).filter(which).collect();
        self.remove_flows(&keys)
    }

    /// Removes flows.
    pub fn remove_flows(&mut self, keys: &[FlowKey]) -> Result<(), Error> {
        for key in keys {
            // It may have given way to a newer one in the meantime.
            absent(self.flows.remove(key)).map_err(Error::map(MAP))?;
        }
        Ok(())
    }
}
