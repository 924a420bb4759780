//! Parents: the NICs that endpoints sit on.

use crate::Mac;

/// What the `parents` map knows of a parent, by interface index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Parent {
    /// The parent's Ethernet address, which its ipvlan children share.
    pub mac: Mac,
    /// [`FLAG_DRIVER`], [`FLAG_XDP_NATIVE`] and [`FLAG_QDISC`].
    pub flags: u16,
}

const _: () = assert!(size_of::<Parent>() == 8 && align_of::<Parent>() == 2);

/// Siblings are switched inside the ipvlan driver: a child's packets for the node come to the
/// parent's TC ingress without having crossed its egress.
pub const FLAG_DRIVER: u16 = 1;

/// XDP runs in the NIC's driver, where nothing that the node itself redirected is ever seen.
pub const FLAG_XDP_NATIVE: u16 = 2;

/// netpath added the clsact qdisc, and takes it away with itself. Kept here because the map outlives
/// the agent; the programs do not read it.
pub const FLAG_QDISC: u16 = 4;

impl Parent {
    /// Whether netpath added the clsact qdisc.
    #[must_use]
    pub const fn added_qdisc(&self) -> bool {
        self.flags & FLAG_QDISC != 0
    }

    /// Whether the driver switches siblings.
    #[inline(always)]
    #[must_use]
    pub const fn switches_in_driver(&self) -> bool {
        self.flags & FLAG_DRIVER != 0
    }

    /// Whether XDP runs in the driver.
    #[inline(always)]
    #[must_use]
    pub const fn xdp_is_native(&self) -> bool {
        self.flags & FLAG_XDP_NATIVE != 0
    }
}
