//! Masquerading: what pods of a table send to destinations outside the VPC leaves with the node's
//! address.

use std::net::Ipv6Addr;

use documented::{Documented, DocumentedFields};
use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::route::Table;

/// `fe80::/10`.
const LINK_LOCAL: IpNet =
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10));

/// What endpoints of a table send to destinations outside the VPC takes the host stack and leaves with
/// the address of the parent that it leaves by. Answers come back to it; nobody outside can begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct MasqueradeSpec {
    /// The table: a number that endpoints have for theirs, or by a rule with `from`.
    pub table: Table,
    /// Destinations that see the endpoint's own address. A family that has no prefix here is not
    /// masqueraded.
    pub vpc: Vec<IpNet>,
}

/// Why it was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// Other tables lead to it.
    #[error(
        "endpoints of every table come to the main one; write another, and a rule with from that gives it to endpoints"
    )]
    Main,
    /// Two for one table.
    #[error("table {table} is that of masquerade[{first}] already; remove one of the two")]
    Twice {
        /// The table.
        table: Table,
        /// The index of the other.
        first: usize,
    },
    /// Nothing would be masqueraded.
    #[error("no prefix, so nothing is outside; write those of the VPC, such as \"10.0.0.0/8\"")]
    Empty,
    /// A prefix that is an address inside itself.
    #[error("{0} has bits set behind its length; write {trunc}", trunc = .0.trunc())]
    HostBits(IpNet),
    /// IPv4 written as IPv6 would have all of IPv6 masqueraded.
    #[error("{0} is IPv4 in IPv6's mapped form; write it as IPv4")]
    Mapped(Ipv6Net),
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Main | Self::Twice { .. } => "table",
            Self::Empty | Self::HostBits(_) | Self::Mapped(_) => "vpc",
        }
    }
}

/// Checks them by themselves and beside each other: the index of the first that is wrong.
pub fn check(all: &[MasqueradeSpec]) -> Result<(), (usize, Invalid)> {
    for (index, spec) in all.iter().enumerate() {
        spec.check().map_err(|invalid| (index, invalid))?;
        let same = |other: &MasqueradeSpec| other.table == spec.table;
        if let Some(first) = all[..index].iter().position(same) {
            return Err((index, Invalid::Twice { table: spec.table, first }));
        }
    }
    Ok(())
}

impl MasqueradeSpec {
    fn check(&self) -> Result<(), Invalid> {
        let Self { table, vpc } = self;
        if *table == Table::MAIN {
            return Err(Invalid::Main);
        }
        if vpc.is_empty() {
            return Err(Invalid::Empty);
        }
        for prefix in vpc {
            if *prefix != prefix.trunc() {
                return Err(Invalid::HostBits(*prefix));
            }
            if let IpNet::V6(v6) = prefix
                && v6.addr().to_ipv4_mapped().is_some()
            {
                return Err(Invalid::Mapped(*v6));
            }
        }
        Ok(())
    }

    /// Whether a family is masqueraded.
    #[must_use]
    pub fn has_family(&self, ipv6: bool) -> bool {
        self.vpc.iter().any(|prefix| prefix.addr().is_ipv6() == ipv6)
    }

    /// The prefixes that are not masqueraded: the VPC's, and the addresses of a link, which no router
    /// takes any further.
    pub fn inside(&self) -> impl Iterator<Item = IpNet> {
        self.vpc.iter().copied().chain(self.has_family(true).then_some(LINK_LOCAL))
    }

    /// Whether a whole prefix is in one of those.
    #[must_use]
    pub fn holds(&self, destination: IpNet) -> bool {
        self.inside().any(|prefix| prefix.contains(&destination))
    }
}
