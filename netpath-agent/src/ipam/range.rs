//! Ranges of addresses as people write them, and sets of addresses that are never listed one by
//! one: a /64 is one range, however large it is.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv6AddrRange};
use rangemap::{RangeInclusiveSet, StepFns};
use serde::{Deserialize, Serialize};

/// The addresses from one to another, both included. Written as `10.0.0.10-10.0.0.99`,
/// `10.0.0.64/26` or `10.0.0.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// A text that is no range of addresses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoRange {
    /// Neither of the three forms.
    #[error("{0:?} is no range of addresses; write FIRST-LAST, ADDRESS/LENGTH or a single ADDRESS")]
    Form(String),
    /// From an address to an earlier one, or to one of the other family.
    #[error("{0:?} ends before it begins; write the lower address first, both of one family")]
    Order(String),
    /// An address inside the prefix.
    #[error("{written} has bits set behind its length; write {expected}")]
    HostBits {
        /// What was given.
        written: IpNet,
        /// The prefix that was probably meant.
        expected: IpNet,
    },
}

impl AddressRange {
    /// The addresses between two of one family, the lower one first.
    pub(super) const fn between(first: IpAddr, last: IpAddr) -> Self {
        Self { first, last }
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub const fn last(self) -> IpAddr {
        self.last
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

impl From<IpNet> for AddressRange {
    /// All addresses of a prefix, its first and last ones too.
    fn from(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl FromStr for AddressRange {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let form = || NoRange::Form(text.to_owned());
        if let Some((first, last)) = text.split_once('-') {
            let address = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| form());
            let (first, last) = (address(first)?, address(last)?);
            return if first <= last && first.is_ipv4() == last.is_ipv4() {
                Ok(Self { first, last })
            } else {
                Err(NoRange::Order(text.to_owned()))
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let net: IpNet = text.parse().map_err(|_| form())?;
        if net == net.trunc() {
            Ok(net.into())
        } else {
            Err(NoRange::HostBits { written: net, expected: net.trunc() })
        }
    }
}

impl TryFrom<String> for AddressRange {
    type Error = NoRange;

    fn try_from(text: String) -> Result<Self, NoRange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A set of addresses of one family. Every operation costs O(log n) in the number of ranges.
#[derive(Clone, Default)]
pub(super) struct Addresses(RangeInclusiveSet<IpAddr, Neighbours>);

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ranges()).finish()
    }
}

impl Addresses {
    pub(super) fn insert(&mut self, range: impl Into<AddressRange>) {
        let AddressRange { first, last } = range.into();
        self.0.insert(first..=last);
    }

    pub(super) fn remove(&mut self, range: impl Into<AddressRange>) {
        let AddressRange { first, last } = range.into();
        self.0.remove(first..=last);
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many addresses there are.
    pub(super) fn count(&self) -> u128 {
        count(self.ranges())
    }

    /// The same, at most 2^64 - 1.
    pub(super) fn size(&self) -> u64 {
        at_most(self.count())
    }

    /// How many of them a range has, in the same way.
    pub(super) fn size_of(&self, range: AddressRange) -> u64 {
        at_most(count(self.clip(range)))
    }

    /// The addresses of a range, in order, found one after the other.
    pub(super) fn within(&self, range: RangeInclusive<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let (first, last) = (*range.start(), *range.end());
        self.0
            .overlapping(range)
            .flat_map(move |part| each(first.max(*part.start()), last.min(*part.end())))
    }

    /// What the set has of a range, in order.
    pub(super) fn clip(&self, range: AddressRange) -> impl Iterator<Item = AddressRange> {
        let AddressRange { first, last } = range;
        self.0.overlapping(first..=last).map(move |part| AddressRange {
            first: first.max(*part.start()),
            last: last.min(*part.end()),
        })
    }

    /// An address that is in both sets.
    pub(super) fn common(&self, other: &Self) -> Option<IpAddr> {
        other.ranges().find_map(|range| self.within(range.first..=range.last).next())
    }

    /// The ranges that the set is made of.
    pub(super) fn ranges(&self) -> impl Iterator<Item = AddressRange> {
        self.0.iter().map(|range| AddressRange { first: *range.start(), last: *range.end() })
    }
}

fn count(ranges: impl Iterator<Item = AddressRange>) -> u128 {
    let sizes = ranges.map(|range| bits(range.last) - bits(range.first));
    sizes.fold(0, |total: u128, size| total.saturating_add(size).saturating_add(1))
}

fn at_most(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn each(first: IpAddr, last: IpAddr) -> IpAddrRange {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4AddrRange::new(first, last).into(),
        (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6AddrRange::new(first, last).into(),
        _ => unreachable!("ranges are of one family"),
    }
}

/// An address as a number.
pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address behind one; behind a family's last one comes its first.
pub(super) fn successor(address: IpAddr) -> IpAddr {
    Neighbours::add_one(&address)
}

/// Which addresses are side by side.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours;

impl StepFns<IpAddr> for Neighbours {
    fn add_one(address: &IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(1)).into(),
        }
    }

    fn sub_one(address: &IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_sub(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_sub(1)).into(),
        }
    }
}
