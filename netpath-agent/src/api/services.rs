//! Services, as operators and controllers ask about them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    node::Kind,
    service::{
        Protocol, ServiceEndpoint, ServiceName, ServiceSpec,
        registry::{Origin, Outcome},
    },
};

/// What became of a Service of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its name, as far as it says; else its place in the list.
    pub name: String,
    /// What was done.
    pub result: What,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The field that is wrong, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the refusal means.
    #[serde(skip)]
    pub kind: Option<Kind>,
}

/// What was done with a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// There was none of the name.
    Created,
    /// There was another one.
    Changed,
    /// It was there.
    Unchanged,
    /// Nothing: it is wrong, or there is no room for it.
    Refused,
}

impl What {
    /// What tables show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

impl From<Outcome> for What {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Created => Self::Created,
            Outcome::Changed => Self::Changed,
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}

/// New endpoints for a Service that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutEndpoints {
    /// The Service.
    pub service: ServiceName,
    /// All of its endpoints.
    pub endpoints: Vec<ServiceEndpoint>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What was asked for.
    #[serde(flatten)]
    pub spec: ServiceSpec,
    /// Who asked: file, kubernetes or runtime.
    pub origin: Origin,
}

/// A Service and what it leads to on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDetail {
    /// The Service.
    #[serde(flatten)]
    pub service: Service,
    /// Its addresses and ports.
    pub frontends: Vec<Frontend>,
    /// Who can answer, and who does.
    pub backends: Vec<BackendRow>,
    /// Backends of this node's own, by configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_local: Vec<HostLocal>,
}

/// An address and a port that clients know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// cluster-ip, external-ip, load-balancer or node-port.
    pub kind: String,
    /// The address; the unspecified one for a node port.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The number by which the kernel's tables know it.
    pub id: u32,
    /// random or maglev.
    pub choice: String,
    /// Who answers endpoints and the node.
    pub inside: Vec<SocketAddr>,
    /// Who answers the wire; absent where it is not asked from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Vec<SocketAddr>>,
}

/// An address of an endpoint of a Service, and whether it is asked: `chosen`, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendRow {
    /// The address.
    pub address: IpAddr,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// By who asks at a cluster IP.
    pub cluster: String,
    /// By endpoints and the node, at external addresses and node ports; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// By the wire, there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<String>,
}

/// A backend of this node's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLocal {
    /// Where it answers.
    pub address: SocketAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Whether it lives.
    pub alive: bool,
}
