//! Link-local addresses that the agent chooses.

use std::net::{IpAddr, Ipv6Addr};

use crate::hash::fnv1a;

/// The link-local address of the endpoint with this primary address.
///
/// Children of one parent share its Ethernet address, so the kernel's way of deriving an interface
/// identifier from it would give siblings the same address. The agent must know the address
/// anyway: a pod may only send from addresses that are registered. Hashing the primary address,
/// which is unique in the network, makes it stable and, to 64 bits, unique.
#[must_use]
pub fn link_local(primary: IpAddr) -> Ipv6Addr {
    let hash = match primary {
        IpAddr::V4(v4) => fnv1a(&v4.octets()),
        IpAddr::V6(v6) => fnv1a(&v6.octets()),
    };
    Ipv6Addr::from_bits(0xfe80_u128 << 112 | u128::from(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_stable_and_differs_by_address() {
        let first = link_local("10.0.0.1".parse().expect("address"));
        let second = link_local("10.0.0.2".parse().expect("address"));
        assert!(first.is_unicast_link_local() && second.is_unicast_link_local());
        assert_ne!(first, second);
    }
}
