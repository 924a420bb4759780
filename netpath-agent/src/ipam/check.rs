//! Allocations against what is there.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    Ipam,
    allocation::{Allocation, Holder},
};
use crate::pod::PodId;

/// An address that an endpoint has.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    /// The address.
    pub address: IpAddr,
    /// The endpoint, for people.
    pub endpoint: &'a str,
    /// The attachment that it is of; none: it was added by hand.
    pub id: Option<&'a PodId>,
}

/// An address about which allocations and endpoints do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The address.
    pub address: IpAddr,
    /// What is wrong, for programs.
    pub kind: Kind,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

/// What can be wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Allocated to an attachment that is not there.
    Leaked,
    /// Used by another than it is allocated to, or by two.
    Twice,
    /// Used without an allocation, though a pool has it.
    Unallocated,
    /// Allocated, though no pool has it.
    Outside,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaked => "leaked",
            Self::Twice => "twice",
            Self::Unallocated => "unallocated",
            Self::Outside => "outside",
        })
    }
}

impl Ipam {
    /// Compares all allocations with all addresses that endpoints have.
    #[must_use]
    pub fn check<'a>(&self, uses: impl IntoIterator<Item = Use<'a>>) -> Vec<Problem> {
        let mut by_address = BTreeMap::<_, Vec<_>>::new();
        for user in uses {
            by_address.entry(user.address).or_default().push(user);
        }
        let mut problems = Vec::new();
        for row in self.allocations() {
            let here = by_address.remove(&row.address).unwrap_or_default();
            problems.extend(outside(row));
            problems.extend(disagreement(row, &here));
        }
        for (address, here) in by_address {
            if self.pool_index(address).is_some() {
                problems.extend(unallocated(address, &here));
            }
        }
        problems.sort_by_key(|problem| problem.address);
        problems
    }
}

fn outside(row: &Allocation) -> Option<Problem> {
    row.pool.is_none().then(|| {
        let detail = format!("{row}, but is in no pool any more; it goes when it is released");
        Problem { address: row.address, kind: Kind::Outside, detail }
    })
}

fn disagreement(row: &Allocation, users: &[Use<'_>]) -> Option<Problem> {
    let address = row.address;
    let holder = match &row.holder {
        Holder::Attached { id } => Some(id),
        _ => None,
    };
    let others: Vec<_> =
        users.iter().filter(|user| holder.is_none() || user.id != holder).collect();
    if !others.is_empty() {
        let names = others.iter().map(|user| user.endpoint).collect::<Vec<_>>().join(", ");
        let detail = format!("{row}, but endpoint {names} has it; delete one of them");
        return Some(Problem { address, kind: Kind::Twice, detail });
    }
    (holder.is_some() && users.is_empty()).then(|| {
        let detail =
            format!("{row}, which is not there; release it: netpath ipam release {address}");
        Problem { address, kind: Kind::Leaked, detail }
    })
}

fn unallocated(address: IpAddr, users: &[Use<'_>]) -> Option<Problem> {
    let first = users.first()?.endpoint;
    let detail = format!(
        "endpoint {first} has it without an allocation; exclude it from the pool, or delete the endpoint"
    );
    Some(Problem { address, kind: Kind::Unallocated, detail })
}
