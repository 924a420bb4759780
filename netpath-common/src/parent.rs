//! Parents: the NICs that endpoints sit on.

use crate::{Address, Mac};

/// What the `parents` map knows of a parent, by interface index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Parent {
    /// The subnets on it, where it has a table of its own: who is in them is a neighbour.
    pub subnets: [Prefix; SUBNETS],
    /// The routers of that table, IPv4's first; unspecified where it has none.
    pub routers: [Address; 2],
    /// The node's addresses that hide clients of Services, IPv4's first: on this parent, where it has one.
    /// Unspecified where it has none at all.
    pub own: [Address; 2],
    /// The parent's Ethernet address, which its ipvlan children share.
    pub mac: Mac,
    /// [`FLAG_DRIVER`], [`FLAG_XDP_NATIVE`] and [`FLAG_QDISC`].
    pub flags: u16,
}

const _: () = assert!(size_of::<Parent>() == 200);

/// Subnets of a parent that the programs know: of one that has more they know none.
pub const SUBNETS: usize = 4;

/// A prefix, as it is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix {
    /// The address, of which the bits of the mask count.
    pub address: Address,
    /// The mask; none at all matches nothing.
    pub mask: Address,
}

impl Prefix {
    /// The prefix of this length, which counts bits of the address in its own family.
    #[must_use]
    pub const fn new(address: Address, length: u8) -> Self {
        let bits = if address.is_v4() { 96 } else { 0 } + length as u32;
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        let octets = u128::from_be_bytes(address.octets) & mask;
        Self { address: Address::v6(octets.to_be_bytes()), mask: Address::v6(mask.to_be_bytes()) }
    }

    #[inline(always)]
    const fn holds(&self, address: &Address) -> bool {
        let ([high, low], [of_high, of_low]) = (address.halves(), self.address.halves());
        let [mask_high, mask_low] = self.mask.halves();
        mask_high != 0 && high & mask_high == of_high && low & mask_low == of_low
    }
}

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

    /// The neighbour to whom its own table sends what is for an address; `None` if that is for the host's
    /// routes to say.
    #[inline(always)]
    #[must_use]
    pub const fn next_hop(&self, address: &Address) -> Option<Address> {
        let [a, b, c, d] = &self.subnets;
        if a.holds(address) || b.holds(address) || c.holds(address) || d.holds(address) {
            return Some(*address);
        }
        let [of_v4, of_v6] = self.routers;
        let router = if address.is_v4() { of_v4 } else { of_v6 };
        if router.is_unspecified() { None } else { Some(router) }
    }

    /// The node's address that hides a client, of the family of `like`.
    #[inline(always)]
    #[must_use]
    pub const fn hiding(&self, like: &Address) -> Option<Address> {
        let [of_v4, of_v6] = self.own;
        let own = if like.is_v4() { of_v4 } else { of_v6 };
        if own.is_unspecified() { None } else { Some(own) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: Address = Address::v4([10, 0, 1, 9]);
    const FAR: Address = Address::v4([10, 0, 2, 9]);

    #[test]
    fn neighbours_are_told_from_those_behind_a_router() {
        let mut parent = Parent::default();
        assert_eq!(parent.next_hop(&NEAR), None);
        parent.subnets[0] = Prefix::new(Address::v4([10, 0, 1, 0]), 24);
        assert_eq!((parent.next_hop(&NEAR), parent.next_hop(&FAR)), (Some(NEAR), None));
        parent.routers[0] = Address::v4([10, 0, 1, 1]);
        assert_eq!(parent.next_hop(&FAR), Some(parent.routers[0]));
        let six = |last| Address::v6([0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last]);
        assert_eq!(parent.next_hop(&six(1)), None);
        parent.subnets[1] = Prefix::new(six(0), 64);
        assert_eq!(parent.next_hop(&six(1)), Some(six(1)));
    }
}
