//! Ethernet addresses: six bytes, and as a number.

use core::fmt;

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
