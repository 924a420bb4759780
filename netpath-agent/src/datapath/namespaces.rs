//! The `namespaces` map: network namespaces of endpoints, by number.

use aya::maps::MapError;

use super::{Datapath, Error, batch};

const MAP: &str = "namespaces";

impl Datapath {
    /// Says that a namespace is an endpoint's: what its sockets send from others' addresses is
    /// dropped.
    pub fn put_namespace(&mut self, namespace: u32) -> Result<(), Error> {
        let full = Error::insert(MAP, self.capacity.endpoints);
        self.namespaces.insert(namespace, 1, 0).map_err(full)
    }

    /// Forgets a namespace. One that is not there is no error.
    pub fn remove_namespace(&mut self, namespace: u32) -> Result<(), Error> {
        absent(self.namespaces.remove(&namespace)).map_err(Error::map(MAP))
    }

    /// Shows all of them.
    pub fn each_namespace(&self, mut show: impl FnMut(u32)) -> Result<(), Error> {
        batch::each(&self.namespaces, |namespace, _| show(namespace)).map_err(Error::map(MAP))
    }

    /// Why a pod's packets with the address of a sibling or of the node can not be told from
    /// theirs, if they can not.
    #[must_use]
    pub const fn blind_to_namespaces(&self) -> Option<&super::NamespaceError> {
        match &self.sight {
            Ok(()) => None,
            Err(error) => Some(error),
        }
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
