//! Creating dummy devices.

use rtnetlink::LinkDummy;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Creates a dummy device: it receives what is redirected to it, and sends nowhere.
    pub async fn add_dummy(&self, name: &str) -> Result<(), Error> {
        self.create(LinkDummy::new(name).build(), || format!("create dummy interface {name}")).await
    }
}
