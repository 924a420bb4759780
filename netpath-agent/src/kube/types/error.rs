//! What can be wrong with a custom resource, or with a pod's annotations.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    ipam::{self, BadBlockSize, NoRange},
    name,
    route::NoTable,
};

/// A value that makes no sense where it stands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field's path, such as `spec.ranges[2]` (counted from 0), or
    /// `annotation netpath.io/pools`.
    pub field: String,
    /// What was found, what was expected, what to do.
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// Not of the form that the field has.
    #[error("{found:?} is not valid; expected {expected}")]
    Form {
        /// What was given, or its beginning.
        found: String,
        /// What the field takes, with an example.
        expected: String,
    },
    /// Not JSON, or not of the form that the field has.
    #[error("{message}; expected {expected}")]
    Json {
        /// What was found, and where.
        message: String,
        /// What the field takes, with an example.
        expected: &'static str,
    },
    /// No range of addresses.
    #[error(transparent)]
    Range(#[from] NoRange),
    /// No pool can be like this.
    #[error(transparent)]
    Pool(#[from] ipam::Invalid),
    /// No block can be of this size.
    #[error(transparent)]
    BlockSize(#[from] BadBlockSize),
    /// No interface can be called so.
    #[error(transparent)]
    Interface(#[from] name::Error),
    /// No route table is called so.
    #[error(transparent)]
    Table(#[from] NoTable),
    /// A destination that is an address inside its prefix.
    #[error("{found} has bits set behind its length; write {expected}")]
    HostBits {
        /// What was given.
        found: IpNet,
        /// The prefix that was probably meant.
        expected: IpNet,
    },
    /// A next hop of another family than the destination.
    #[error("{via} is not of the family of {destination}; write both as IPv4 or both as IPv6")]
    Family {
        /// The next hop.
        via: IpAddr,
        /// The destination.
        destination: IpNet,
    },
    /// Two addresses of one family.
    #[error("{0} is the second address of its family; write one at most")]
    SecondOfFamily(IpAddr),
    /// A selector's condition with values that it does not take, or without those that it needs.
    #[error(
        "operator {operator} with {count} values; In and NotIn need some, the others take none"
    )]
    Values {
        /// What the condition is.
        operator: String,
        /// How many values it has.
        count: usize,
    },
}

impl Problem {
    /// A value of the wrong form.
    pub(super) fn form(found: &str, expected: impl Into<String>) -> Self {
        Self::Form { found: shorten(found), expected: expected.into() }
    }

    /// This problem, of a field.
    pub(super) fn at(self, field: impl Into<String>) -> Invalid {
        Invalid { field: field.into(), problem: self }
    }
}

/// As much of a text as a message bears.
fn shorten(text: &str) -> String {
    const LENGTH: usize = 100;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
