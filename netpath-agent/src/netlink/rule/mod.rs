//! Rules of policy routing.

mod change;
mod list;

use ipnet::IpNet;

/// A rule of ours: packets from a prefix, to a prefix, with a mark, or all, are looked up in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Whether it is IPv6's.
    pub ipv6: bool,
    /// The lowest comes first.
    pub priority: u32,
    /// The senders; `None`: all.
    pub source: Option<IpNet>,
    /// The receivers; `None`: all.
    pub destination: Option<IpNet>,
    /// The mark (`skb->mark`); `None`: any.
    pub mark: Option<u32>,
    /// The table to look in.
    pub table: u32,
    /// Not for packets that a program of ours sends by a parent.
    pub unmarked: bool,
}

impl Rule {
    /// The rule for all packets of a family.
    #[must_use]
    pub const fn for_all(ipv6: bool, priority: u32, table: u32) -> Self {
        Self { ipv6, priority, source: None, destination: None, mark: None, table, unmarked: false }
    }

    /// The rule for packets from a prefix.
    #[must_use]
    pub fn from(source: IpNet, priority: u32, table: u32) -> Self {
        let all = Self::for_all(source.addr().is_ipv6(), priority, table);
        Self { source: Some(source), ..all }
    }

    /// The rule for packets to a prefix.
    #[must_use]
    pub fn to(destination: IpNet, priority: u32, table: u32) -> Self {
        let all = Self::for_all(destination.addr().is_ipv6(), priority, table);
        Self { destination: Some(destination), ..all }
    }
}
