//! Endpoints: pods' interfaces, and how they are wired to the node.

mod link_local;
mod spec;
mod wire;

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use self::{
    link_local::link_local,
    spec::{EndpointSpec, Invalid},
    wire::{Error, Plan, is_wired, set_switching, unwire},
};

/// An endpoint as the store keeps it: what was asked for, and what the agent chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was asked for.
    pub spec: EndpointSpec,
    /// Its index in the kernel's table of endpoint counters, unique on the node.
    pub slot: u32,
    /// The link-local address that goes with IPv6 addresses.
    pub link_local: Option<Ipv6Addr>,
    /// Number of its network namespace. Not kept: the file may stand for another one tomorrow.
    #[serde(skip)]
    pub namespace: u32,
}

impl Record {
    /// Every address that the endpoint may send from.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let link_local = self.link_local.map(IpAddr::V6);
        self.spec.addresses.iter().map(ipnet::IpNet::addr).chain(link_local)
    }
}
