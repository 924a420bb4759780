//! Changes of links, addresses and traffic control, as they happen.

use futures::{StreamExt as _, channel::mpsc::UnboundedReceiver};
use rtnetlink::{
    MulticastGroup,
    packet_core::NetlinkMessage,
    packet_route::RouteNetlinkMessage,
    sys::SocketAddr,
};

use super::Error;

/// Tells when links, addresses, qdiscs or filters of the namespace have changed.
///
/// What changed is not told: whoever listens compares everything anyway, and a message that the
/// kernel had to drop then costs nothing but time until the next one.
#[derive(Debug)]
pub struct Monitor {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    // The connection ends with its handle.
    _handle: rtnetlink::Handle,
}

impl Monitor {
    /// Starts to listen in the namespace of the calling thread.
    pub fn start() -> Result<Self, Error> {
        let (connection, handle, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Tc,
        ])
        .map_err(Error::Connect)?;
        tokio::spawn(connection);
        Ok(Self { messages, _handle: handle })
    }

    /// Waits for the next change and takes all that are there with it. `false` when the
    /// connection is lost.
    pub async fn changed(&mut self) -> bool {
        let changed = self.messages.next().await.is_some();
        while self.messages.try_recv().is_ok() {}
        changed
    }
}
