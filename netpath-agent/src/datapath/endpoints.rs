//! The `endpoints` map.

use aya::maps::MapError;
use netpath_common::{Address, Endpoint};

use super::{Datapath, Error, batch};

const MAP: &str = "endpoints";

impl Datapath {
    /// Writes the entry of an address, in one step if there is one already.
    pub fn put_endpoint(&mut self, address: Address, endpoint: &Endpoint) -> Result<(), Error> {
        let full = Error::insert(MAP, self.capacity.endpoints);
        self.endpoints.insert(address, endpoint, 0).map_err(full)
    }

    /// Removes the entry of an address. One that is not there is no error.
    pub fn remove_endpoint(&mut self, address: &Address) -> Result<(), Error> {
        absent(self.endpoints.remove(address)).map_err(Error::map(MAP))
    }

    /// The entry of an address.
    pub fn endpoint(&self, address: &Address) -> Result<Option<Endpoint>, Error> {
        match self.endpoints.get(address, 0) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(Error::map(MAP)(error)),
        }
    }

    /// Shows all entries.
    pub fn each_endpoint(&self, show: impl FnMut(Address, Endpoint)) -> Result<(), Error> {
        batch::each(&self.endpoints, show).map_err(Error::map(MAP))
    }

    /// All entries.
    pub fn endpoints(&self) -> Result<Vec<(Address, Endpoint)>, Error> {
        batch::entries(&self.endpoints).map_err(Error::map(MAP))
    }
}

/// Removing what is not there is no error.
pub(super) fn absent(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        result => result,
    }
}
