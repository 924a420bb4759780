//! Removing qdiscs.

use futures::TryStreamExt as _;
use rtnetlink::packet_route::tc::TcHandle;

use crate::netlink::{Error, Netlink};

/// The handle that the kernel gives every clsact qdisc.
const HANDLE: TcHandle = TcHandle { major: 0xffff, minor: 0 };

impl Netlink {
    /// Removes the clsact qdisc of an interface unless filters are on it: those are somebody
    /// else's, and would go with it. Tells whether it was removed.
    pub async fn delete_idle_clsact(&self, index: u32) -> Result<bool, Error> {
        let ifindex = index.cast_signed();
        let filters = self.handle.traffic_filter(ifindex);
        let mut count = 0;
        for request in [filters.clone().get().ingress(), filters.clone().get().egress()] {
            let found: Vec<_> = request
                .execute()
                .try_collect()
                .await
                .map_err(Error::request(|| format!("list the filters of interface {index}")))?;
            count += found.len();
        }
        if count > 0 {
            return Ok(false);
        }
        let mut request = self.handle.qdisc().del(ifindex);
        request.message_mut().header.parent = TcHandle::CLSACT;
        request.message_mut().header.handle = HANDLE;
        let action = || format!("remove the clsact qdisc of interface {index}");
        request.execute().await.map_err(Error::request(action))?;
        Ok(true)
    }
}
