//! Removing interfaces.

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Removes an interface; one that is gone already is no error.
    pub async fn delete_link(&self, index: u32) -> Result<(), Error> {
        let deleted = self
            .handle
            .link()
            .del(index)
            .execute()
            .await
            .map_err(Error::request(|| format!("remove interface {index}")));
        match deleted {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }
}
