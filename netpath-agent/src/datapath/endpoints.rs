//! The `endpoints` map.

use netpath_common::{Address, Endpoint};

use super::{Datapath, Error, exact::Full};

const MAP: &str = "endpoints";

impl Datapath {
    /// Writes the entry of an address, in one step if there is one already.
    pub fn put_endpoint(&mut self, address: Address, endpoint: &Endpoint) -> Result<(), Error> {
        let full = |Full| Error::Full { map: MAP, capacity: self.capacity.endpoints };
        self.endpoints.put(address, endpoint).map_err(full)
    }

    /// Removes the entry of an address. One that is not there is no error.
    pub fn remove_endpoint(&mut self, address: &Address) {
        self.endpoints.remove(address);
    }

    /// The entry of an address.
    #[must_use]
    pub fn endpoint(&self, address: &Address) -> Option<Endpoint> {
        self.endpoints.get(address)
    }

    /// Shows all entries.
    pub fn each_endpoint(&self, show: impl FnMut(Address, Endpoint)) {
        self.endpoints.each(show);
    }
}
