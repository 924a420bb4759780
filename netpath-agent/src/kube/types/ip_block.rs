//! Parts of pools, and who hands them out.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    error::{Invalid, Problem},
    name::label_value,
};
use crate::ipam::{AddressRange, Block};

/// The label of a block with its node's name, as [`label_value`] writes it.
pub const NODE_LABEL: &str = "netpath.io/node";

/// The label of a block with its pool's name.
pub const POOL_LABEL: &str = "netpath.io/pool";

/// The label of a block of fixed addresses; its value is `true`.
pub const FIXED_LABEL: &str = "netpath.io/fixed";

/// A part of a pool. Agents make these: the object's name follows from its first address, so that
/// whoever creates it has it, and everybody else is told that it exists.
#[derive(Clone, Debug, PartialEq, CustomResource, KubeSchema, Serialize, Deserialize)]
#[kube(
    group = "netpath.io",
    version = "v1alpha1",
    kind = "IPBlock",
    plural = "ipblocks",
    shortname = "npblock",
    category = "netpath",
    derive = "PartialEq",
    doc = "A part of a pool, and the node that hands it out. Made by netpath's agents.",
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Range", type_ = "string", json_path = ".spec.range"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
    printcolumn(name = "Orphaned", type_ = "date", json_path = ".spec.orphanedSince"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.node) != has(self.fixed)")
        .message("a block has a node, or fixed addresses: set one of node and fixed"),
    validation = Rule::new("!has(self.orphanedSince) || has(self.node)")
        .message("only a block with a node can be orphaned: leave orphanedSince out"),
)]
#[serde(rename_all = "camelCase")]
pub struct IPBlockSpec {
    /// The pool that it is a part of.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("pool can not be changed"))]
    pub pool: String,
    /// Its addresses, from the first to the last one, those too that the pool does not hand out.
    /// Such as 10.0.1.16-10.0.1.31.
    #[schemars(length(max = 91), regex(pattern = "^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("range can not be changed"))]
    pub range: String,
    /// The node that hands its addresses out. Absent where it has reserved addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub node: Option<String>,
    /// Which of its addresses are whose, for a block without a node: the address, and the namespace,
    /// name and UID of the FixedIP. Such as
    /// 10.0.1.100: default/db-0/0d9f4ff7-66a4-4a5f-b0d5-6e8f5a3f1c11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4096))]
    pub fixed: Option<BTreeMap<String, String>>,
    /// Since when its node is missing. Set by whoever finds that, and cleared by the node if it
    /// lives; a block that stays orphaned goes back to its pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned_since: Option<Time>,
}

impl IPBlock {
    /// The object by which a node takes a block of a pool.
    #[must_use]
    pub fn of_node(pool: &str, block: &Block, node: &str) -> Self {
        let mut object = Self::bare(pool, block);
        object.spec.node = Some(node.to_owned());
        object.metadata.labels.get_or_insert_default().insert(NODE_LABEL.into(), label_value(node));
        object
    }

    /// The object that keeps the fixed addresses of a block, and the first one's owner.
    #[must_use]
    pub fn of_fixed(pool: &str, block: &Block, address: IpAddr, owner: &str) -> Self {
        let mut object = Self::bare(pool, block);
        object.spec.fixed = Some(BTreeMap::from([(address.to_string(), owner.to_owned())]));
        let labels = object.metadata.labels.get_or_insert_default();
        labels.insert(FIXED_LABEL.into(), "true".into());
        object
    }

    fn bare(pool: &str, block: &Block) -> Self {
        let spec = IPBlockSpec {
            pool: pool.to_owned(),
            range: block.range.to_string(),
            node: None,
            fixed: None,
            orphaned_since: None,
        };
        let mut object = Self::new(&block.name, spec);
        object.metadata.labels.get_or_insert_default().insert(POOL_LABEL.into(), label_value(pool));
        object
    }

    /// Its addresses.
    pub fn range(&self) -> Result<AddressRange, Invalid> {
        self.spec.range.parse().map_err(|error| Problem::from(error).at("spec.range"))
    }
}
