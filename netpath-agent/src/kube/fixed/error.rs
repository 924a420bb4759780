//! Why a pod does not get its addresses.

use std::net::IpAddr;

use crate::{
    ipam::AddressRange,
    kube::{
        request::Failed,
        types::{Invalid, Owner},
    },
};

/// Why a pod does not get its addresses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another pod's.
    #[error("{address} is of FixedIP {owner}; delete that one, or choose another address")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        owner: String,
    },
    /// A node hands it out to any pod.
    #[error(
        "{address} is of block {block}, which node {node} hands out; choose an address that IPPool {pool} reserves, or have it reserve {range}"
    )]
    OfNode {
        /// The address.
        address: IpAddr,
        /// Its block.
        block: String,
        /// The node.
        node: String,
        /// The pool.
        pool: String,
        /// All addresses of the block.
        range: AddressRange,
    },
    /// Addresses of another pool, perhaps of one that is gone, are in the way.
    #[error(
        "{address} is of block {block} too, of a pool that is cut otherwise; wait until it is given back"
    )]
    Overlap {
        /// The address.
        address: IpAddr,
        /// The other block.
        block: String,
    },
    /// No pool has the address.
    #[error("{0} can be had from no IPPool that is for this node")]
    NoPool(IpAddr),
    /// None of these can be had here.
    #[error("a fixed address needs an IPPool, and none that the pod may use is for this node")]
    NoPools,
    /// All blocks are taken.
    #[error("IPPool {0} has no block left for fixed addresses; widen it")]
    Full(String),
    /// The pod had others before.
    #[error("FixedIP {owner} has {has}, not {wanted}; delete it, or ask for what it has")]
    Other {
        /// The pod.
        owner: Owner,
        /// What it has.
        has: String,
        /// What is asked for.
        wanted: String,
    },
    /// Another node has not let go yet.
    #[error(
        "the addresses of FixedIP {owner} are still on node {node}; try again when its pod is gone from there"
    )]
    Away {
        /// The pod.
        owner: Owner,
        /// The node.
        node: String,
    },
    /// The object makes no sense.
    #[error("FixedIP {owner}: {invalid}")]
    Invalid {
        /// Whose it is.
        owner: Owner,
        /// What is wrong with it.
        invalid: Box<Invalid>,
    },
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Request(#[from] Failed),
}

impl Error {
    /// Whether it may be over soon by itself.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Request(_) | Self::Overlap { .. })
    }

    /// The same in one word for programs.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "Taken",
            Self::OfNode { .. } | Self::Overlap { .. } => "BlockTaken",
            Self::NoPool(_) | Self::NoPools => "NoPool",
            Self::Full(_) => "Exhausted",
            Self::Other { .. } => "OtherAddresses",
            Self::Away { .. } => "OnOtherNode",
            Self::Invalid { .. } => "Invalid",
            Self::Request(_) => "Unheard",
        }
    }
}
