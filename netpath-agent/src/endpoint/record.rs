//! What the store keeps of an endpoint.

use std::net::{IpAddr, Ipv6Addr};

use netpath_common::Mac;
use serde::{Deserialize, Serialize};

use super::{EndpointSpec, Nic};
use crate::{
    attachment::Attachment,
    kube::types::Owner,
    pod::{GivenAddress, PodSpec},
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
    /// How it is wired.
    #[serde(default)]
    pub attachment: Attachment,
    /// How far it is.
    #[serde(default)]
    pub stage: Stage,
    /// The number of its network namespace, which tells it from a later one of the same name.
    /// Unknown for what an older agent made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<u32>,
    /// The NIC that it has to itself, as it was on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nic: Option<Nic>,
    /// What the container runtime asked for, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Attached>,
}

/// How far an endpoint is. An agent that starts finishes what its predecessor was at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// On the way in: to be undone after a crash, for nobody was told of it.
    Adding,
    /// There.
    #[default]
    Ready,
    /// On the way out: to be finished after a crash.
    Deleting,
}

/// An endpoint that a container runtime asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// As it is attached.
    pub spec: PodSpec,
    /// As the runtime asked for it, if the cluster had more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<PodSpec>>,
    /// The addresses with their gateways.
    pub addresses: Vec<GivenAddress>,
    /// Whose fixed addresses they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Owner>,
}

impl Record {
    /// The number of its network namespace as the maps have it; 0 if it is unknown.
    #[must_use]
    pub fn namespace_number(&self) -> u32 {
        self.namespace.unwrap_or(0)
    }

    /// The namespace whose sockets are held to send from its endpoints' addresses only: an entry of
    /// the `namespaces` map.
    #[must_use]
    pub fn held_namespace(&self) -> Option<u32> {
        (!self.attachment.is_sent_by_host()).then(|| self.namespace_number())
    }

    /// The Ethernet address of what netpath makes in it, unless that has its parent's.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        let primary = self.spec.addresses.first()?;
        self.attachment.mac(primary.addr())
    }

    /// Its Ethernet address on its network, unless that is its parent's.
    #[must_use]
    pub fn mac_on_the_wire(&self) -> Option<Mac> {
        let own = || self.mac().filter(|_| self.attachment.is_on_the_wire());
        self.nic.as_ref().map(Nic::mac).or_else(own)
    }

    /// Every address that the endpoint may send from.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let link_local = self.link_local.map(IpAddr::V6);
        self.spec.addresses.iter().map(ipnet::IpNet::addr).chain(link_local)
    }
}
