//! Sets: what rules look up.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::super::attribute::{attribute, inside, nest, number};

/// `NFT_SET_INTERVAL`, `NFT_SET_ELEM_INTERVAL_END`.
const INTERVAL: u32 = 4;
const END: u32 = 1;

/// Room for elements that a set has at least; one that is full is made anew with more.
const FEWEST: usize = 1024;

const ELEMENT: u16 = 1;
const KEY: u16 = 1;
const FLAGS: u16 = 3;
const VALUE: u16 = 1;

/// What a set's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Addresses of IPv4.
    Ipv4,
    /// Addresses of IPv6.
    Ipv6,
    /// Devices, by index.
    Device,
}

impl Kind {
    /// That of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The order of a key's bytes, which only `nft` reads, in user data of type 0: the host's or the
    /// network's (`enum byteorder` in its `datatype.h`).
    const fn order(self) -> u32 {
        if matches!(self, Self::Device) { 1 } else { 2 }
    }

    /// Its number, which only `nft` reads (`enum datatypes` in its `datatype.h`), and the bytes of a key.
    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Ipv4 => (7, 4),
            Self::Ipv6 => (8, 16),
            Self::Device => (20, 4),
        }
    }
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What its elements are.
    pub kind: Kind,
    /// They are the ends of intervals.
    pub intervals: bool,
    /// The elements.
    pub elements: BTreeSet<Element>,
}

/// An element: a value, or one end of an interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    key: Vec<u8>,
    /// The first value behind an interval.
    end: bool,
}

impl Set {
    /// Single values.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, intervals: false, elements: BTreeSet::new() }
    }

    /// The addresses of prefixes, as intervals that do not overlap.
    #[must_use]
    pub fn of_prefixes(kind: Kind, prefixes: &[IpNet]) -> Self {
        let mut elements = BTreeSet::new();
        for prefix in IpNet::aggregate(&prefixes.to_vec()) {
            elements.insert(Element::from(prefix.network()));
            let behind = after(octets(prefix.broadcast()));
            elements.extend(behind.map(|key| Element { key, end: true }));
        }
        Self { kind, intervals: true, elements }
    }

    /// The attributes that make it, but for its names.
    pub(super) fn description(&self) -> Vec<u8> {
        let (kind, length) = self.kind.numbers();
        let flags = if self.intervals { INTERVAL } else { 0 };
        let order = attribute(13, &[&[0, 4], &self.kind.order().to_ne_bytes()[..]].concat());
        [number(3, flags), number(4, kind), number(5, length), self.size(), order].concat()
    }

    /// How many elements it may get. With that the kernel takes a hash table that does not grow: while
    /// one grows, in the background, it is not read whole.
    fn size(&self) -> Vec<u8> {
        if self.intervals {
            return Vec::new();
        }
        let size = self.elements.len().saturating_mul(2).max(FEWEST);
        nest(9, &[number(1, u32::try_from(size).unwrap_or(u32::MAX))])
    }
}

impl Element {
    /// A device.
    #[must_use]
    pub fn device(index: u32) -> Self {
        Self { key: index.to_ne_bytes().to_vec(), end: false }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let key = nest(KEY, &[attribute(VALUE, &self.key)]);
        let flags = if self.end { number(FLAGS, END) } else { Vec::new() };
        nest(ELEMENT, &[key, flags])
    }

    pub(super) fn read(attributes: &[u8]) -> Option<Self> {
        let key = inside(inside(attributes, KEY)?, VALUE)?.to_vec();
        let flags = inside(attributes, FLAGS).map_or(0, super::be32);
        Some(Self { key, end: flags & END != 0 })
    }
}

impl From<IpAddr> for Element {
    fn from(address: IpAddr) -> Self {
        Self { key: octets(address), end: false }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The next value, if there is one.
fn after(mut key: Vec<u8>) -> Option<Vec<u8>> {
    for byte in key.iter_mut().rev() {
        let (next, carry) = byte.overflowing_add(1);
        *byte = next;
        if !carry {
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("prefix")).collect()
    }

    fn ends(kind: Kind, texts: &[&str]) -> Vec<(Vec<u8>, bool)> {
        let set = Set::of_prefixes(kind, &prefixes(texts));
        set.elements.into_iter().map(|Element { key, end }| (key, end)).collect()
    }

    #[test]
    fn prefixes_are_intervals_that_do_not_overlap() {
        let ten = [(vec![10, 0, 0, 0], false), (vec![11, 0, 0, 0], true)];
        assert_eq!(ends(Kind::Ipv4, &["10.0.0.0/8", "10.1.0.0/16"]), ten);
        let two = ends(Kind::Ipv4, &["11.0.0.0/8", "12.0.0.0/8"]);
        let middle = [(vec![12, 0, 0, 0], false), (vec![12, 0, 0, 0], true)];
        assert_eq!(two[1..3], middle);
    }

    #[test]
    fn the_last_address_has_none_behind_it() {
        assert_eq!(ends(Kind::Ipv4, &["0.0.0.0/0"]), [(vec![0; 4], false)]);
        assert_eq!(ends(Kind::Ipv6, &["ff00::/8"]).len(), 1);
        assert_eq!(after(vec![1, 255]), Some(vec![2, 0]));
    }

    #[test]
    fn elements_are_read_as_they_are_written() {
        for element in Set::of_prefixes(Kind::Ipv6, &prefixes(&["fd00::/8"])).elements {
            let written = element.write();
            let value = inside(&written, ELEMENT).expect("element");
            assert_eq!(Element::read(value), Some(element));
            for end in 0..value.len() {
                Element::read(&value[..end]);
            }
        }
    }
}
