//! Facts about the node that every program reads: the only entry of the `node` array.

use crate::Mac;

/// Where the kernel path enters the host stack, and what the programs may skip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Node {
    /// Interface index of the kernel entry (`netpath0`); 0 while there is none.
    pub entry: u32,
    /// Ethernet address of the kernel entry.
    pub entry_mac: Mac,
    /// [`FLAG_BLACKHOLES`] or 0.
    pub flags: u16,
    /// The first and the last port that may be a Service's node port, as numbers; 0 without any.
    pub node_ports: [u16; 2],
}

const _: () = assert!(size_of::<Node>() == 16 && align_of::<Node>() == 4);

/// Some route's path is `drop`: the senders of packets from the wire are looked up too.
pub const FLAG_BLACKHOLES: u16 = 1;

impl Node {
    /// Whether a port, in network order, may be a node port.
    #[inline(always)]
    #[must_use]
    pub const fn has_port(&self, port: u16) -> bool {
        let [first, last] = self.node_ports;
        let port = u16::from_be(port);
        port >= first && port <= last && last != 0
    }

    /// Whether some prefix is dropped.
    #[inline(always)]
    #[must_use]
    pub const fn has_blackholes(&self) -> bool {
        self.flags & FLAG_BLACKHOLES != 0
    }
}
