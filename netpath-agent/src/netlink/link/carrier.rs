//! Asking for carriers.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::link::LinkFlags;

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// The interfaces of the namespace that are up and have a carrier, by index. It comes and goes with
    /// what is at the other end, and nothing that is made of a link depends on it.
    pub async fn carriers(&self) -> Result<BTreeSet<u32>, Error> {
        let links = self.handle.link().get().execute();
        let up = links.try_filter_map(async |message| {
            let header = message.header;
            Ok(header.flags.contains(LinkFlags::LowerUp).then_some(header.index))
        });
        up.try_collect().await.map_err(Error::request(|| "list the carriers".to_owned()))
    }
}
