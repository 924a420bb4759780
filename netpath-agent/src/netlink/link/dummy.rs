//! Creating dummy devices.

use rtnetlink::LinkDummy;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Creates a dummy device: it receives what is redirected to it, and sends nowhere.
    pub async fn add_dummy(&self, name: &str) -> Result<(), Error> {
        self.handle
            .link()
            .add(LinkDummy::new(name).build())
            .execute()
            .await
            .map_err(Error::request(|| format!("create dummy interface {name}")))
    }
}
