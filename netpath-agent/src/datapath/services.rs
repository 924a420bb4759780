//! The tables of Services: `services`, `service_slots`, `backends` and `service_sources`.

use ipnet::IpNet;
use netpath_common::{BackendId, ServiceKey};

use super::{Datapath, Error};
use crate::service::{BackendKey, Entry};

impl Datapath {
    /// Writes what a Service's address, port and protocol lead to. Programs see all of it or what was
    /// there before. What is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] names the map; what was there before stays.
    pub fn put_service(&mut self, _key: ServiceKey, _entry: &Entry) -> Result<(), Error> {
        Err(Error::Missing("services"))
    }

    /// Removes a Service's address, port and protocol. What is not there is no error.
    pub fn remove_service(&mut self, _key: &ServiceKey) -> Result<(), Error> {
        Err(Error::Missing("services"))
    }

    /// What a Service's address, port and protocol lead to.
    #[must_use]
    pub fn service(&self, _key: &ServiceKey) -> Option<Entry> {
        None
    }

    /// Shows all of them, as they are in the kernel.
    pub fn each_service(&self, _show: impl FnMut(ServiceKey, Entry)) -> Result<(), Error> {
        Ok(())
    }

    /// To be called after changes: backends that no Service lists any more are gone from now on.
    /// Returns them.
    pub fn settle_services(&mut self) -> Vec<(BackendId, BackendKey)> {
        Vec::new()
    }

    /// Admits a prefix on the wire to the Services of a number.
    pub fn put_source(&mut self, _id: u32, _prefix: &IpNet) -> Result<(), Error> {
        Ok(())
    }

    /// Does so no more. What is not there is no error.
    pub fn remove_source(&mut self, _id: u32, _prefix: &IpNet) -> Result<(), Error> {
        Ok(())
    }

    /// Shows all prefixes that are admitted.
    pub fn each_source(&self, _show: impl FnMut(u32, IpNet)) -> Result<(), Error> {
        Ok(())
    }
}
