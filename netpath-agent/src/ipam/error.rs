//! Why an address can not be had, kept or let go.

use std::net::IpAddr;

use super::{allocation::Allocation, allocation::Holder, pool::PoolStatus};
use crate::pod::{PodId, code};

/// A request to ipam was refused; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pool that is not configured.
    #[error("pools: {name:?} is no pool of this node; choose from: {known}")]
    NoPool {
        /// The name given.
        name: String,
        /// The pools there are.
        known: String,
    },
    /// Nothing to choose from.
    #[error(
        "pools: none is named and none is a default one; name a pool or add a [[pool]] with default = true"
    )]
    NoDefault,
    /// Two requested addresses of one family.
    #[error("requested: {0} is the second address of its family; request one at most")]
    SecondRequested(IpAddr),
    /// No pool has the address.
    #[error("{address} is in no pool; choose an address from: {known}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnets of the pools.
        known: String,
    },
    /// The subnet has the address, but it is kept back.
    #[error(
        "{address} is in the subnet of pool {pool}, which does not hand it out: it is excluded, outside of its ranges, a gateway or one of the subnet's own"
    )]
    Withheld {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: String,
    },
    /// The requested address is of another pool than those named.
    #[error("requested: {address} is of pool {pool}, which was not asked for; name that pool")]
    OtherPool {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: String,
    },
    /// The attachment has another address already.
    #[error("requested: pod {id} has {has} already, not {requested}; delete it first")]
    OtherAddress {
        /// The attachment.
        id: PodId,
        /// The address that it has.
        has: IpAddr,
        /// The address that was requested.
        requested: IpAddr,
    },
    /// The node uses the address beside the pools.
    #[error(
        "{0} is in use on this node: its own, or an endpoint's that was added by hand; exclude it from the pool"
    )]
    InUse(IpAddr),
    /// Somebody has the address.
    #[error("{} {row}{}; {}", .row.address, ends(.row, *.now), advice(.row))]
    Taken {
        /// Who.
        row: Box<Allocation>,
        /// The time of the request, in seconds since 1970.
        now: u64,
    },
    /// The owner's fixed address is still attached to another pod of its.
    #[error(
        "owner {owner}: its address {address} still belongs to pod {id}; try again when that is gone"
    )]
    OwnerBusy {
        /// The owner.
        owner: String,
        /// Its address.
        address: IpAddr,
        /// Who has it.
        id: PodId,
    },
    /// The owner has another address of the pool.
    #[error(
        "owner {owner} has {address} in pool {pool} already; release that first: netpath ipam release {address}"
    )]
    OwnerHas {
        /// The owner.
        owner: String,
        /// The address that it has.
        address: IpAddr,
        /// The pool.
        pool: String,
    },
    /// No pool that may be used has a free address.
    #[error("{}", exhausted(.pools, *.next_free_in))]
    Exhausted {
        /// The pools that were tried.
        pools: Vec<PoolStatus>,
        /// Seconds until the next address becomes free by itself.
        next_free_in: Option<u64>,
    },
    /// Nothing to release.
    #[error("{0} is not allocated; `netpath ipam show` lists what is")]
    NotAllocated(IpAddr),
    /// A pod that is there uses the address.
    #[error("{address} belongs to pod {id}, which is there; delete the pod first")]
    Attached {
        /// The address.
        address: IpAddr,
        /// The pod.
        id: PodId,
    },
    /// An owner without fixed addresses.
    #[error("owner {0:?} has no fixed address; `netpath ipam show` lists owners")]
    NoOwner(String),
}

impl Error {
    /// The word for programs, where there is one.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoPool { .. } | Self::NoDefault => Some(code::NO_POOL),
            Self::Taken { row, .. } if matches!(row.holder, Holder::Conflict { .. }) => {
                Some(code::CONFLICT)
            }
            Self::Taken { .. } | Self::InUse(_) | Self::OtherAddress { .. } => {
                Some(code::ADDRESS_TAKEN)
            }
            Self::OwnerBusy { .. } => Some(code::BUSY),
            Self::Exhausted { .. } => Some(code::EXHAUSTED),
            Self::SecondRequested(_)
            | Self::Outside { .. }
            | Self::Withheld { .. }
            | Self::OtherPool { .. }
            | Self::OwnerHas { .. }
            | Self::NotAllocated(_)
            | Self::Attached { .. }
            | Self::NoOwner(_) => None,
        }
    }

    /// The field of the request that is wrong, if one is.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::NoPool { .. } | Self::NoDefault => Some("pools"),
            Self::SecondRequested(_) | Self::OtherPool { .. } | Self::OtherAddress { .. } => {
                Some("requested")
            }
            Self::Outside { .. } | Self::Withheld { .. } => Some("address"),
            _ => None,
        }
    }
}

fn ends(row: &Allocation, now: u64) -> String {
    row.holder
        .until()
        .map_or_else(String::new, |until| format!(" for {} s more", until.saturating_sub(now)))
}

const fn advice(row: &Allocation) -> &'static str {
    match row.holder {
        Holder::Attached { .. } => "choose another or delete that pod",
        Holder::Held { .. } => "choose another or release it: netpath ipam release",
        Holder::Cooling { .. } => "try again then or choose another",
        Holder::Conflict { .. } => "find that host, or exclude the address from the pool",
    }
}

fn exhausted(pools: &[PoolStatus], next_free_in: Option<u64>) -> String {
    let figures = pools.iter().map(|pool| {
        let PoolStatus { name, subnet, size, used, held, cooling, conflicting, reserved, .. } =
            pool;
        // What is free and can not be had is the node's own.
        let beside = match pool.free {
            0 => String::new(),
            count => format!(", in use beside the pool {count}"),
        };
        format!(
            "pool {name} ({subnet}) has no free address: size {size}, used {used}, held for owners {held}, cooling down {cooling}, in conflict {conflicting}, reserved {reserved}{beside}; "
        )
    });
    let figures: String = figures.collect();
    match next_free_in {
        Some(seconds) => format!("{figures}the next one becomes free in {seconds} s"),
        None => format!("{figures}delete pods, release fixed addresses or widen the pool"),
    }
}
