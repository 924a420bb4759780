//! Parents: the NICs that endpoints sit on.

use crate::Mac;

/// What the `parents` map knows of a parent, by interface index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Parent {
    /// The parent's Ethernet address, which its ipvlan children share.
    pub mac: Mac,
    /// [`FLAG_DRIVER`] and [`FLAG_XDP_NATIVE`].
    pub flags: u16,
}

const _: () = assert!(size_of::<Parent>() == 8 && align_of::<Parent>() == 2);

/// Siblings are switched inside the ipvlan driver: a child's packets for the node come to the
/// parent's TC ingress without having crossed its egress.
pub const FLAG_DRIVER: u16 = 1;

/// XDP runs in the NIC's driver, where nothing that the node itself redirected is ever seen.
pub const FLAG_XDP_NATIVE: u16 = 2;

impl Parent {
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
