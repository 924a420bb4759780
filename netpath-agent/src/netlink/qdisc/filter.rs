//! Looking for filters.

use futures::TryStreamExt as _;
use rtnetlink::packet_route::tc::{TcHandle, TcMessage};

use crate::netlink::{Error, Netlink};

impl Netlink {
    /// Whether the clsact qdisc of an interface has a filter of this priority and handle.
    pub async fn has_filter(
        &self,
        index: u32,
        egress: bool,
        priority: u16,
        handle: u16,
    ) -> Result<bool, Error> {
        let request = self.handle.traffic_filter(index.cast_signed()).get();
        let request = if egress { request.egress() } else { request.ingress() };
        let action = || format!("list the filters of interface {index}");
        let found: Result<Vec<TcMessage>, _> =
            request.execute().try_collect().await.map_err(Error::request(action));
        let handle = TcHandle { major: 0, minor: handle };
        // The priority is the upper half.
        let ours = |filter: &TcMessage| {
            filter.header.handle == handle && filter.header.info >> 16 == u32::from(priority)
        };
        match found {
            Ok(filters) => Ok(filters.iter().any(ours)),
            // No such qdisc.
            Err(error) if error.errno() == Some(nix::libc::EINVAL) => Ok(false),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
