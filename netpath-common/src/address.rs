//! Addresses: 16 bytes for both families, and Ethernet addresses.

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

/// An Ethernet address.
#[derive(Clone, Copy, Default)]
#[repr(C, align(2))]
pub struct Mac {
    /// The six bytes as they stand in a frame.
    pub octets: [u8; 6],
}

const _: () = assert!(size_of::<Mac>() == 6);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self { octets: [0xff; 6] };

    /// An Ethernet address from its bytes.
    #[inline(always)]
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self { octets }
    }

    /// An Ethernet address from its three half-words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u16; 3]) -> Self {
        // SAFETY: both are six bytes, and every value of them is an Ethernet address.
        unsafe { core::mem::transmute(words) }
    }

    /// The address in one word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> MacWord {
        // SAFETY: as for `from_words`.
        let [a, b, c]: [u16; 3] = unsafe { core::mem::transmute(self) };
        let [a, b, c] = [u16::from_le(a), u16::from_le(b), u16::from_le(c)];
        MacWord(a as u64 | (b as u64) << 16 | (c as u64) << 32)
    }
}

impl PartialEq for Mac {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

impl Eq for Mac {}

impl core::hash::Hash for Mac {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.octets.hash(state);
    }
}

/// An Ethernet address as a number: its first byte is the least significant one.
///
/// The form that the programs compare and move: arrays of bytes are handled byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MacWord(u64);

impl MacWord {
    /// `00:00:00:00:00:00`.
    pub const ZERO: Self = Self(0);

    /// The first six of eight bytes, loaded as a word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(u64::from_le(word) & 0xffff_ffff_ffff)
    }

    /// Whether the group bit is set: broadcast or multicast.
    #[inline(always)]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0 & 1 == 1
    }

    /// The first 12 bytes of an Ethernet header, as three words in the order of memory.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the parts of a word")]
    pub const fn header(destination: Self, source: Self) -> [u32; 3] {
        let (destination, source) = (destination.0, source.0);
        let head = destination | source << 48;
        [(head as u32).to_le(), ((head >> 32) as u32).to_le(), ((source >> 16) as u32).to_le()]
    }
}

impl From<Mac> for MacWord {
    #[inline(always)]
    fn from(mac: Mac) -> Self {
        mac.word()
    }
}

impl From<MacWord> for Mac {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the parts of a word")]
    fn from(word: MacWord) -> Self {
        let MacWord(word) = word;
        Self::from_words([
            (word as u16).to_le(),
            ((word >> 16) as u16).to_le(),
            ((word >> 32) as u16).to_le(),
        ])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMac;

impl fmt::Display for InvalidMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an Ethernet address, six bytes such as 02:00:00:00:00:01")
    }
}

impl core::error::Error for InvalidMac {}

impl core::str::FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let is_byte = |part: &&str| part.len() == 2 && !part.starts_with('+');
            let part = parts.next().filter(is_byte).ok_or(InvalidMac)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| InvalidMac)?;
        }
        if parts.next().is_none() { Ok(Self { octets }) } else { Err(InvalidMac) }
    }
}

impl fmt::Debug for Mac {
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

    #[test]
    fn ethernet_addresses_are_read_as_they_are_written() {
        let mac: Mac = "02:0A:b0:00:00:ff".parse().expect("address");
        assert_eq!(mac.octets, [2, 10, 0xb0, 0, 0, 0xff]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "+2:00:00:00:00:01"]
        {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac), "{text}");
        }
    }

    #[test]
    fn ethernet_addresses_compare_whole() {
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        for byte in 0..6 {
            let mut other = mac;
            other.octets[byte] ^= 4;
            assert_ne!(mac, other, "byte {byte}");
        }
        assert_eq!(mac, Mac::new([2, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn words_keep_the_bytes() {
        let [a, b] = [Mac::new([1, 2, 3, 4, 5, 6]), Mac::new([7, 8, 9, 10, 11, 12])];
        assert_eq!(Mac::from(a.word()), a);
        let header = MacWord::header(a.word(), b.word());
        let bytes: std::vec::Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}
