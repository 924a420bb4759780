//! Rules: which table is asked for an endpoint that has none of its own, as `ip rule` has it.

use std::net::IpAddr;

use documented::{Documented, DocumentedFields};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::route::Table;

/// A rule: the table that is asked before the main one. It goes by one thing: from, to or mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// For endpoints in this prefix that have no table of their own. The first rule that holds an
    /// address has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpNet>,
    /// For destinations in this prefix, whoever sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<IpNet>,
    /// For packets that the host's netfilter has given this mark: those that take the host stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The table.
    pub table: Table,
}

/// Why a rule was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// A rule goes by one thing.
    #[error("a rule has from, to or mark, and only one of them; write a rule for each")]
    NotOne,
    /// The prefix is an address inside itself.
    #[error("{0} has bits set behind its length; write {trunc}", trunc = .0.trunc())]
    HostBits(IpNet),
    /// Every packet has it that has none.
    #[error("0 is no mark; write another number")]
    NoMark,
    /// The main table is asked anyway.
    #[error("the main table is asked for all destinations; write another table")]
    ToMain,
    /// Which of two rules comes first must not matter.
    #[error("{prefix} and {other} of rule[{first}] overlap; write prefixes that do not")]
    Overlap {
        /// The prefix.
        prefix: IpNet,
        /// That of the other rule.
        other: IpNet,
        /// The index of the other rule.
        first: usize,
    },
    /// Two rules for a mark.
    #[error("{mark} is the mark of rule[{first}] already; remove one of the two")]
    SameMark {
        /// The mark.
        mark: u32,
        /// The index of the other rule.
        first: usize,
    },
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::NotOne | Self::HostBits(_) => "from",
            Self::NoMark | Self::SameMark { .. } => "mark",
            Self::ToMain => "table",
            Self::Overlap { .. } => "to",
        }
    }
}

/// Checks rules by themselves and beside each other: the index of the first that is wrong.
pub fn check(rules: &[RuleSpec]) -> Result<(), (usize, Invalid)> {
    for (index, rule) in rules.iter().enumerate() {
        rule.check().map_err(|invalid| (index, invalid))?;
        for (first, other) in rules[..index].iter().enumerate() {
            rule.check_beside(first, other).map_err(|invalid| (index, invalid))?;
        }
    }
    Ok(())
}

impl RuleSpec {
    fn check(&self) -> Result<(), Invalid> {
        let Self { from, to, mark, table } = self;
        let (prefix, mark) = match (*from, *to, *mark) {
            (Some(prefix), None, None) | (None, Some(prefix), None) => (Some(prefix), None),
            (None, None, mark @ Some(_)) => (None, mark),
            _ => return Err(Invalid::NotOne),
        };
        if let Some(prefix) = prefix.filter(|prefix| *prefix != prefix.trunc()) {
            return Err(Invalid::HostBits(prefix));
        }
        if mark == Some(0) {
            return Err(Invalid::NoMark);
        }
        if to.is_some() && *table == Table::MAIN {
            return Err(Invalid::ToMain);
        }
        Ok(())
    }

    fn check_beside(&self, first: usize, other: &Self) -> Result<(), Invalid> {
        if let (Some(prefix), Some(other)) = (self.to, other.to)
            && (prefix.contains(&other) || other.contains(&prefix))
        {
            return Err(Invalid::Overlap { prefix, other, first });
        }
        match self.mark {
            Some(mark) if other.mark == Some(mark) => Err(Invalid::SameMark { mark, first }),
            _ => Ok(()),
        }
    }
}

/// The table of an endpoint's address: its own, or that of the first rule by source.
#[must_use]
pub fn table_of(rules: &[RuleSpec], own: Table, address: IpAddr) -> Table {
    let holds = |rule: &&RuleSpec| rule.from.is_some_and(|prefix| prefix.contains(&address));
    if own != Table::MAIN {
        return own;
    }
    rules.iter().find(holds).map_or(Table::MAIN, |rule| rule.table)
}
