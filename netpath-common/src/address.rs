//! Addresses: 16 bytes for both families.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address, or an IPv4 address in its mapped form (`::ffff:a.b.c.d`), in network order.
///
/// One form for both families means one set of maps and one code path. The alignment lets the
/// programs copy and compare it as two 64-bit words.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
pub struct Address {
    /// The 16 bytes, most significant first.
    pub octets: [u8; 16],
}

const _: () = assert!(size_of::<Address>() == 16 && align_of::<Address>() == 8);

/// The 12 bytes in front of a mapped IPv4 address.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Address {
    /// `::`, which also stands for IPv4's `0.0.0.0` where a family is not needed.
    pub const UNSPECIFIED: Self = Self { octets: [0; 16] };

    /// The mapped form of the four bytes of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self { octets: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] }
    }

    /// An IPv6 address from its 16 bytes.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self { octets }
    }

    /// An address from four words as they lie in memory.
    ///
    /// The programs load packets word by word: byte by byte costs four times the instructions.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: both are 16 bytes, and every value of them is an address.
        unsafe { core::mem::transmute(words) }
    }

    /// The mapped form of an IPv4 address, as its word lies in memory.
    #[inline(always)]
    #[must_use]
    pub const fn v4_from_word(word: u32) -> Self {
        let mapped = 0xffff_u32.to_be() as u64;
        let word = word as u64;
        // In one word: where two are stored, a load of both has to wait for them.
        let low =
            if cfg!(target_endian = "little") { mapped | word << 32 } else { mapped << 32 | word };
        Self::from_halves([0, low])
    }

    /// An address from two halves as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn from_halves(halves: [u64; 2]) -> Self {
        // SAFETY: as for `from_words`.
        unsafe { core::mem::transmute(halves) }
    }

    /// Four words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(&self) -> [u32; 4] {
        // SAFETY: as for `from_words`.
        unsafe { core::mem::transmute(*self) }
    }

    /// The two halves as they lie in memory, for comparison.
    #[inline(always)]
    #[must_use]
    pub const fn halves(&self) -> [u64; 2] {
        // SAFETY: as for `from_words`.
        unsafe { core::mem::transmute(*self) }
    }

    /// A number to find the address by, of `bits` bits: two multiplications by odd constants, of which
    /// the upper bits are used. Addresses of one network that differ in the last bytes (as many as are
    /// asked for) have different numbers.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are asked for")]
    pub const fn digest(&self, bits: u32) -> u32 {
        let [high, low] = self.halves();
        // A little-endian machine has the last byte, which varies most, on top.
        let [high, low] = [u64::from_le(high), u64::from_le(low)];
        let mixed = high.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(low);
        (mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> (64 - bits)) as u32
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let [high, low] = self.halves();
        // The upper four bytes of the low word as they lie in memory: 00 00 ff ff.
        high == 0 && (u64::from_be(low) >> 32) == 0xffff
    }

    /// Whether this is `0.0.0.0` or `::`.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        let [high, low] = self.halves();
        high == 0 && (low == 0 || u64::from_be(low) == 0xffff_0000_0000)
    }

    /// Whether this is a group address: `224.0.0.0/4`, `255.255.255.255` or `ff00::/8`.
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(&self) -> bool {
        if self.is_v4() {
            self.octets[12] >> 4 == 0xe || self.is_broadcast()
        } else {
            self.octets[0] == 0xff
        }
    }

    /// Whether this is `255.255.255.255`.
    #[inline(always)]
    const fn is_broadcast(&self) -> bool {
        u64::from_be(self.halves()[1]) == 0xffff_ffff_ffff
    }
}

impl PartialEq for Address {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.halves() == other.halves()
    }
}

impl Eq for Address {}

impl core::hash::Hash for Address {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.octets.hash(state);
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets.cmp(&other.octets)
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::v4(address.octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::v6(address.octets())
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        let [.., a, b, c, d] = address.octets;
        if address.octets.starts_with(&MAPPED) {
            Self::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            Self::V6(Ipv6Addr::from(address.octets))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().expect("address").into()
    }

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["10.0.1.2", "0.0.0.0", "255.255.255.255", "fd00:1::2", "::1"] {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn kinds_of_address() {
        for (text, v4, unspecified, multicast) in [
            ("10.0.1.2", true, false, false),
            ("0.0.0.0", true, true, false),
            ("::", false, true, false),
            ("224.0.0.1", true, false, true),
            ("239.255.255.250", true, false, true),
            ("240.0.0.1", true, false, false),
            ("255.255.255.255", true, false, true),
            ("ff02::1", false, false, true),
            ("fe80::1", false, false, false),
            ("::ff", false, false, false),
            ("::e000:1", false, false, false),
        ] {
            let address = address(text);
            assert_eq!(address.is_v4(), v4, "{text} is IPv4");
            assert_eq!(address.is_unspecified(), unspecified, "{text} is unspecified");
            assert_eq!(address.is_multicast(), multicast, "{text} is multicast");
        }
    }
}
