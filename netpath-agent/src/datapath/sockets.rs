//! The `translated_sockets` map, which the programs fill.

use netpath_common::{SocketKey, SocketPeer};

use super::{Datapath, Error, batch};

const MAP: &str = "translated_sockets";

impl Datapath {
    /// All sockets that talk to backends, and the Services that they believe to talk to. Some of them
    /// may be closed.
    pub fn translated_sockets(&self) -> Result<Vec<(SocketKey, SocketPeer)>, Error> {
        batch::entries(&self.translated_sockets).map_err(Error::map(MAP))
    }
}
