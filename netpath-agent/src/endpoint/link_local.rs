//! Link-local addresses that the agent chooses.

use std::net::{IpAddr, Ipv6Addr};

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

/// FNV-1a with 64 bits: the standard library's hashes may change with its version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
        // The published test vector: FNV-1a of "a" is af63dc4c8601ec8c.
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
