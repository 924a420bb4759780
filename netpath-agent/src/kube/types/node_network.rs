//! What a node has, and how it is doing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node has, and how it is doing: all in its status. The object is called as its node is.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, CustomResource, JsonSchema, Serialize, Deserialize,
)]
#[kube(
    group = "netpath.io",
    version = "v1alpha1",
    kind = "NodeNetwork",
    plural = "nodenetworks",
    shortname = "npnode",
    category = "netpath",
    status = "NodeNetworkStatus",
    derive = "PartialEq",
    doc = "What a node has, and how netpath is doing there. Written by the node's agent.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Parents", type_ = "string", json_path = ".status.parents[*].name"),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.pods"),
    printcolumn(
        name = "Services",
        type_ = "integer",
        json_path = ".status.services",
        priority = 1
    ),
    printcolumn(name = "Blocks", type_ = "string", json_path = ".status.blocks", priority = 1),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.agentVersion"),
    printcolumn(name = "Observed", type_ = "date", json_path = ".status.observedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct NodeNetworkSpec {}

/// What the node's agent reports.
#[derive(Clone, Debug, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeNetworkStatus {
    /// The agent's version, such as 0.1.0.
    #[serde(default)]
    pub agent_version: String,
    /// The parents that pods of the node sit on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub parents: Vec<ParentStatus>,
    /// How many pods are attached.
    #[serde(default)]
    pub pods: u32,
    /// How many addresses and ports of Services the node translates.
    #[serde(default)]
    pub services: u32,
    /// The names of the IPBlocks that it hands out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<String>,
    /// What an operator should know, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Ready: whether pods can be attached, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When the agent last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

/// A parent of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// What it is called, such as eth0.
    pub name: String,
    /// Its Ethernet address, such as 02:00:00:00:00:01. Absent while its device is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its MTU in bytes. Absent while its device is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// How pods are wired to it that ask for nothing else, such as ipvlan-l2.
    pub attachment: String,
    /// Whether its device is there and has a carrier.
    pub up: bool,
    /// The node's own addresses on it, with the length of their subnets, such as 10.0.1.5/24.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How many endpoints sit on it.
    #[serde(default)]
    pub endpoints: u32,
}
