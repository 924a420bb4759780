//! Rules of policy routing.

mod change;
mod list;

use ipnet::IpNet;

/// A rule of ours: packets from a prefix, or all, are looked up in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Whether it is IPv6's.
    pub ipv6: bool,
    /// The lowest comes first.
    pub priority: u32,
    /// The senders; `None`: all.
    pub source: Option<IpNet>,
    /// The table to look in.
    pub table: u32,
    /// Not for packets that a program of ours sends by a parent.
    pub unmarked: bool,
}
