//! Pods as the container runtime attaches them: what `netpath-cni` asks the agent for, and what it
//! is told.
//!
//! ```text
//! POST /v1/pods        PodSpec -> 201|200 Added<Pod>
//! GET  /v1/pods                -> [Pod]
//! POST /v1/pods/del    PodId   -> Pod, or 404: gone already
//! POST /v1/pods/check  Pod     -> [Mismatch]
//! POST /v1/pods/gc     Keep    -> Collected
//! GET  /v1/ready?network=&parent= -> 200, or 503: why not
//! ```

use std::{fmt, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{attachment::Attachment, name::InterfaceName, route::Table};

/// The identity of an attachment. The CNI specification's primary key: a runtime adds a container
/// to a network more than once only under different interface names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodId {
    /// The network's name in the CNI configuration.
    pub network: String,
    /// The container, as the runtime numbers it.
    pub container: String,
    /// The interface's name inside the container.
    pub interface: InterfaceName,
}

impl fmt::Display for PodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.network, self.container, self.interface)
    }
}

/// Who the container belongs to, by `CNI_ARGS` of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodName {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: String,
    /// `K8S_POD_NAME`.
    pub name: String,
    /// `K8S_POD_UID`, where the runtime tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An attachment to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSpec {
    /// Which one.
    pub id: PodId,
    /// The file of the container's network namespace.
    pub netns: PathBuf,
    /// Who it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// The Network of the cluster that says how it is attached, unless the pod's annotation names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The parent that it sits on. May be left out where the agent has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<InterfaceName>,
    /// How it is wired; as the parent's endpoints are if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// The route table that is asked before the main one.
    #[serde(default)]
    pub table: Table,
    /// The interface's MTU in bytes, if not the parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Where its addresses come from.
    pub addressing: Addressing,
    /// Whether default routes lead to the gateways.
    pub default_route: bool,
    /// More routes inside the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<PodRoute>,
    /// What the runtime would have it limited to. Recorded, and not enforced before netpath shapes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
}

/// The CNI capability `bandwidth`, seen from the container. Rates in bits a second, bursts in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bandwidth {
    /// Into the container.
    pub ingress_rate: Option<u64>,
    /// Into the container, at once.
    pub ingress_burst: Option<u64>,
    /// Out of the container.
    pub egress_rate: Option<u64>,
    /// Out of the container, at once.
    pub egress_burst: Option<u64>,
}

/// Where an attachment's addresses come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Addressing {
    /// The agent's pools: one address for each family that they have.
    Pools {
        /// The pools by name, in order of preference; none: the default ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pools: Vec<String>,
        /// The owner whose address is fixed: it gets the same one again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Addresses that must be the ones, at most one for each family.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        requested: Vec<IpAddr>,
    },
    /// An IPAM plugin, which has chosen.
    Given {
        /// What it chose.
        addresses: Vec<GivenAddress>,
    },
}

/// An address with the length of its subnet, and the way out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenAddress {
    /// The address.
    pub address: IpNet,
    /// Its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodRoute {
    /// The prefix, without host bits.
    pub destination: IpNet,
    /// The next hop; none: the gateway of an address of this family, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The MTU in bytes along the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The metric: the lower one wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
}

/// An attachment that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Which one.
    pub id: PodId,
    /// The file of the container's network namespace.
    pub netns: PathBuf,
    /// Who it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// The parent that it sits on. Always there in the agent's answers; whoever asks for a check
    /// may not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<InterfaceName>,
    /// Its Ethernet address; empty: not known to whoever asks for a check.
    pub mac: String,
    /// Its MTU in bytes; 0: not known to whoever asks for a check.
    pub mtu: u32,
    /// Its addresses.
    pub addresses: Vec<GivenAddress>,
    /// Its routes, the default ones among them. In a check: those that the result told of.
    pub routes: Vec<PodRoute>,
    /// What the operator should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a check found to be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// What it is about: `link`, `address 10.0.1.5/24`, `hook egress`.
    pub what: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// The attachments of a network that the runtime still has. All others are to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The network. Those of other networks stay.
    pub network: String,
    /// What stays.
    pub keep: Vec<PodId>,
}

/// What a collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Which ones.
    pub removed: Vec<PodId>,
}

/// Asks whether pods of a network can be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyQuestion {
    /// The network; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The parent that they sit on; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<InterfaceName>,
}

/// Why a request about pods failed, as programs tell it apart: [`Failure::code`].
///
/// [`Failure::code`]: crate::api::types::Failure::code
pub mod code {
    /// A pool has no free address.
    pub const EXHAUSTED: &str = "exhausted";
    /// Somebody on the wire has the address.
    pub const CONFLICT: &str = "conflict";
    /// The attachment is being worked on, or its parent is not there now; try again.
    pub const BUSY: &str = "busy";
    /// No pool of that name, or none at all.
    pub const NO_POOL: &str = "no-pool";
    /// The requested address is another attachment's.
    pub const ADDRESS_TAKEN: &str = "address-taken";
    /// The container's network namespace is not there any more.
    pub const NETNS_GONE: &str = "netns-gone";
    /// The node is not ready, and pods that it has may be cut off as well.
    pub const LIMITED: &str = "limited";
    /// No parent of that name, or several and none named.
    pub const UNKNOWN_PARENT: &str = "unknown-parent";
}
