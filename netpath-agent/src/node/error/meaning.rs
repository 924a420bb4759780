//! What an error means to who asked: its kind, its code, the field that is wrong.

use super::Error;
use crate::{endpoint, ipam, kube::fixed, netlink, pod::code};

/// What an error means to who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong.
    Invalid,
    /// What it is about is not there.
    Missing,
    /// It contradicts what is there.
    Conflict,
    /// A table is full.
    Full,
    /// The node failed.
    Failed,
}

impl Error {
    /// What it means to who asked.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Endpoint(_)
            | Self::UnknownParent { .. }
            | Self::NoParentNamed(_)
            | Self::Pod { .. }
            | Self::Asked(_)
            | Self::NoCluster
            | Self::NetworkElsewhere { .. }
            | Self::PoolNotFor { .. }
            | Self::FixedByPlugin
            | Self::Route(_)
            | Self::TableTaken(_)
            | Self::Question { .. } => Kind::Invalid,
            Self::Service { invalid, .. } if !invalid.problem.is_conflict() => Kind::Invalid,
            Self::Wire { source, .. } => match source.as_ref() {
                endpoint::Error::OwnNamespace(_)
                | endpoint::Error::Replaced(_)
                | endpoint::Error::Netlink(netlink::Error::Namespace { .. }) => Kind::Invalid,
                endpoint::Error::InterfaceExists { .. } | endpoint::Error::AddressHeld { .. } => {
                    Kind::Conflict
                }
                _ => Kind::Failed,
            },
            Self::NameTaken(_)
            | Self::PodTaken(_)
            | Self::AddressTaken { .. }
            | Self::AddressIsHost(_)
            | Self::AddressIsService(_)
            | Self::Service { .. }
            | Self::ServiceConfigured { .. }
            | Self::MixedAttachments { .. }
            | Self::NotWhole { .. }
            | Self::NicTaken { .. }
            | Self::Conflict { .. }
            | Self::RouteTaken { .. }
            | Self::RouteConfigured { .. } => Kind::Conflict,
            Self::NoEndpoint(_) | Self::NoPod(_) | Self::NoRoute { .. } | Self::NoService(_) => {
                Kind::Missing
            }
            Self::Ipam(error) => match error.as_ref() {
                ipam::Error::Exhausted { .. } => Kind::Full,
                ipam::Error::NotAllocated(_) | ipam::Error::NoOwner(_) => Kind::Missing,
                error if error.field().is_some() => Kind::Invalid,
                _ => Kind::Conflict,
            },
            Self::Fixed(error) => match error.as_ref() {
                fixed::Error::Full(_) => Kind::Full,
                error if error.is_passing() => Kind::Failed,
                _ => Kind::Conflict,
            },
            Self::NoSlot(_) | Self::NoNicLeft => Kind::Full,
            Self::Datapath(error) if error.is_full() => Kind::Full,
            _ => Kind::Failed,
        }
    }

    /// What programs tell it from others by.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::AddressTaken { .. } | Self::AddressIsHost(_) | Self::AddressIsService(_) => {
                Some(code::ADDRESS_TAKEN)
            }
            Self::UnknownParent { .. } | Self::NoParentNamed(_) => Some(code::UNKNOWN_PARENT),
            Self::ParentGone(_) | Self::PodUnknown { .. } => Some(code::BUSY),
            Self::Fixed(error) => match error.as_ref() {
                fixed::Error::Full(_) => Some(code::EXHAUSTED),
                fixed::Error::Taken { .. } | fixed::Error::OfNode { .. } => {
                    Some(code::ADDRESS_TAKEN)
                }
                fixed::Error::NoPool(_) | fixed::Error::NoPools => Some(code::NO_POOL),
                error => error.is_passing().then_some(code::BUSY),
            },
            Self::Conflict { .. } => Some(code::CONFLICT),
            Self::Ipam(error) => error.code(),
            Self::Wire { source, .. } => match source.as_ref() {
                endpoint::Error::AddressHeld { .. } => Some(code::BUSY),
                source => source.is_gone().then_some(code::NETNS_GONE),
            },
            _ => None,
        }
    }

    /// The field of the request that is wrong.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Endpoint(invalid) => Some(invalid.field()),
            Self::Route(invalid) => Some(invalid.field()),
            Self::AddressTaken { .. }
            | Self::AddressIsHost(_)
            | Self::AddressIsService(_)
            | Self::Conflict { .. } => Some("addresses"),
            Self::Service { invalid, .. } => Some(&invalid.field),
            Self::MixedAttachments { .. } | Self::NotWhole { .. } => Some("attachment"),
            Self::SilentGateway(_) => Some("gateways"),
            Self::Ipam(error) => error.field(),
            Self::UnknownParent { .. }
            | Self::ParentGone(_)
            | Self::NoParentNamed(_)
            | Self::NicTaken { .. } => Some("parent"),
            Self::TableTaken(_) => Some("table"),
            Self::PodTaken(_) => Some("id"),
            Self::NameTaken(_) | Self::ServiceConfigured { .. } => Some("name"),
            Self::RouteTaken { .. } | Self::RouteConfigured { .. } => Some("prefix"),
            Self::Pod { field, .. } | Self::Question { field, .. } => Some(field),
            Self::Wire { source, .. } => source.field(),
            _ => None,
        }
    }
}
