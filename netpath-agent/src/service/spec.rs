//! A Service, as files, the API and the command line have it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::ServiceName;

/// A Service and who can answer for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Namespace and name.
    pub name: ServiceName,
    /// The addresses that the cluster knows it by, at most one a family; none: it is headless, and
    /// there is nothing to translate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<IpAddr>,
    /// Addresses that others lead to this node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<IpAddr>,
    /// Addresses that a load balancer leads to this node without changing the destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who on the wire may ask at `load_balancer_ips`; none given: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_ranges: Vec<IpNet>,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// Seconds for which a client stays with its backend after it was last heard; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_seconds: Option<u32>,
    /// local: `cluster_ips` lead to this node's backends only.
    #[serde(default)]
    pub internal_policy: Policy,
    /// local: who asks from the wire reaches this node's backends only.
    #[serde(default)]
    pub external_policy: Policy,
    /// The port where the node tells load balancers over HTTP whether it has ready backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_port: Option<u16>,
    /// Whether endpoints that are not ready answer like those that are.
    #[serde(default)]
    pub publish_not_ready: bool,
    /// Who can answer.
    #[serde(default)]
    pub endpoints: Vec<ServiceEndpoint>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// What it is called, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// tcp, udp or sctp.
    #[serde(default)]
    pub protocol: Protocol,
    /// The port that clients know.
    pub port: u16,
    /// The port of backends, or the name of it that each endpoint gives a number; the same as `port`
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The port on the node's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
}

/// The port of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a port from 1 to 65535, or the name of one")]
pub enum Target {
    /// The same for all.
    Number(u16),
    /// The one that each endpoint has under this name.
    Name(String),
}

/// Somebody who can answer for a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEndpoint {
    /// Its addresses, at most one a family.
    pub addresses: Vec<IpAddr>,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The zones that it should answer for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Whether it is ready. One that is terminating is not, whatever this says.
    #[serde(default = "yes")]
    pub ready: bool,
    /// Whether it answers, be it terminating or not.
    #[serde(default = "yes")]
    pub serving: bool,
    /// Whether it is about to go.
    #[serde(default)]
    pub terminating: bool,
    /// The numbers of named ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
}

const fn yes() -> bool {
    true
}

/// Which backends are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Those of all nodes.
    #[default]
    Cluster,
    /// Those of this node.
    Local,
}

/// A protocol that has ports.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The number in the header of packets.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of a number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|it| u16::from(it.number()) == number)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ServiceSpec {
    /// Whether endpoint addresses are all that clients get.
    #[must_use]
    pub const fn is_headless(&self) -> bool {
        self.cluster_ips.is_empty()
    }

    /// Addresses that the wire may ask at.
    pub fn external_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.external_ips.iter().chain(&self.load_balancer_ips).copied()
    }

    /// All addresses that clients know.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.cluster_ips.iter().copied().chain(self.external_addresses())
    }

    /// Whether the wire may ask.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.external_addresses().next().is_some()
            || self.ports.iter().any(|port| port.node_port.is_some())
    }

    /// Whether an endpoint is ready.
    #[must_use]
    pub const fn is_ready(&self, endpoint: &ServiceEndpoint) -> bool {
        self.publish_not_ready || (endpoint.ready && !endpoint.terminating)
    }

    /// How many ready endpoints are on a node.
    #[must_use]
    pub fn ready_on(&self, node: &str) -> usize {
        let here = |it: &&ServiceEndpoint| it.node.as_deref() == Some(node) && self.is_ready(it);
        self.endpoints.iter().filter(here).count()
    }
}

impl PortSpec {
    /// The port of an endpoint for this one; `None` if it has none of that name.
    #[must_use]
    pub fn target_of(&self, endpoint: &ServiceEndpoint) -> Option<u16> {
        match &self.target {
            None => Some(self.port),
            Some(Target::Number(number)) => Some(*number),
            Some(Target::Name(name)) => endpoint.ports.get(name).copied(),
        }
    }
}

impl ServiceEndpoint {
    /// Its address of a family.
    #[must_use]
    pub fn address(&self, ipv6: bool) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv6() == ipv6)
    }
}
