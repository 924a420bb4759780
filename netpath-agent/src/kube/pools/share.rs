//! What this node has of the pools of the cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::ipam::{AddressRange, PoolSpec};

/// What this node has of a pool. It is stored, so that pods can be added while the API server is
/// silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The pool's name.
    pub pool: String,
    /// What is handed out: the pool as far as the blocks go. None: nothing, since the pool is gone,
    /// bad or not for this node; the blocks are kept for the pods that have addresses of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PoolSpec>,
    /// The higher one is tried first.
    #[serde(default)]
    pub priority: i32,
    /// The pods of which namespaces may have addresses; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Which pods may have addresses; all, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
    /// The blocks that are this node's, by name.
    pub blocks: BTreeMap<String, AddressRange>,
}

/// Shares by the names of their pools.
pub type Shares = BTreeMap<String, Share>;

impl Share {
    /// Whether every pod may have addresses.
    fn is_for_all(&self) -> bool {
        let is_empty = |selector: &Option<LabelSelector>| {
            selector.as_ref().is_none_or(|selector| *selector == LabelSelector::default())
        };
        is_empty(&self.namespaces) && is_empty(&self.pods)
    }
}

/// The pools to hand out from: those of the file, then those of the cluster by priority and name;
/// and which of the cluster's can not be used beside the file's.
#[must_use]
pub fn merge(file: &[PoolSpec], shares: &Shares) -> (Vec<PoolSpec>, Vec<String>) {
    let (mut pools, mut warnings) = (file.to_vec(), Vec::new());
    let mut sorted: Vec<_> = shares.values().collect();
    sorted.sort_by_key(|share| (std::cmp::Reverse(share.priority), &share.pool));
    for share in sorted {
        let Some(spec) = &share.spec else { continue };
        match pools.iter().find_map(|other| spec.goes_with(other).err()) {
            // Whose labels a pod and its namespace have is not known here: what is for some of
            // them only is for those that name the pool.
            None => {
                let default = spec.default && share.is_for_all();
                pools.push(PoolSpec { default, ..spec.clone() });
            }
            Some(clash) => {
                warnings.push(format!("IPPool {} is not used here: {clash}", share.pool));
            }
        }
    }
    (pools, warnings)
}
