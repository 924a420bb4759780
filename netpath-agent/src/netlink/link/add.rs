//! Creating interfaces, and changing what is particular to a kind.

use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_REQUEST},
    packet_route::link::LinkMessage,
};

use crate::netlink::{Error, Netlink};

impl Netlink {
    pub(super) async fn create(
        &self,
        message: LinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        self.handle.link().add(message).execute().await.map_err(Error::request(action))
    }

    /// Takes the request that creates, without leave to.
    pub(super) async fn change(
        &self,
        message: LinkMessage,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        let request = self.handle.link().add(message).set_flags(NLM_F_REQUEST | NLM_F_ACK);
        request.execute().await.map_err(Error::request(action))
    }
}
