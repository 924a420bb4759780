//! Changes of links, addresses and traffic control, as they happen.

use futures::{StreamExt as _, channel::mpsc::UnboundedReceiver};
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    sys::SocketAddr,
};

use super::Error;

/// What changed. Nothing finer is told: whoever listens compares everything anyway, and a message
/// that the kernel had to drop then costs nothing but time until the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Links or addresses.
    pub links: bool,
    /// A qdisc or a filter was removed.
    pub hooks: bool,
}

/// Tells when links, addresses, qdiscs or filters of the namespace have changed.
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

    /// Waits for the next change and takes all that are there with it. `None` when the connection
    /// is lost.
    pub async fn changed(&mut self) -> Option<Change> {
        let mut change = Change::default();
        while change == Change::default() {
            let (message, _) = self.messages.next().await?;
            change.add(&message);
            while let Ok((message, _)) = self.messages.try_recv() {
                change.add(&message);
            }
        }
        Some(change)
    }
}

impl Change {
    fn add(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        use RouteNetlinkMessage::{
            DelAddress, DelLink, DelQueueDiscipline, DelTrafficFilter, NewAddress, NewLink,
        };
        match &message.payload {
            NetlinkPayload::InnerMessage(
                NewLink(_) | DelLink(_) | NewAddress(_) | DelAddress(_),
            ) => self.links = true,
            // Additions are our own doing, or nobody's business here.
            NetlinkPayload::InnerMessage(DelQueueDiscipline(_) | DelTrafficFilter(_)) => {
                self.hooks = true;
            }
            _ => {}
        }
    }
}
