//! What the cluster wants of this node's pools.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::SelectorExt as _;

use crate::{
    error::chain,
    ipam::PoolSpec,
    kube::types::{IPBlock, IPPool, Pool},
};

/// Pools and blocks as they were heard.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The pools that this node hands out addresses from, by name.
    pub pools: BTreeMap<String, Wanted>,
    /// Pools that nobody can use, by name, and why.
    pub bad: BTreeMap<String, String>,
    /// Whether the cluster has a node of this name.
    pub named: bool,
    /// The blocks that are this node's, by name.
    pub blocks: BTreeMap<String, IPBlock>,
}

/// A pool for this node.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The pool.
    pub pool: Pool,
    /// The pods of which namespaces may have addresses, as it was written.
    pub namespaces: Option<LabelSelector>,
    /// Which pods may have addresses, as it was written.
    pub pods: Option<LabelSelector>,
}

/// Labels as objects have them.
pub(in crate::kube) type Labels = BTreeMap<String, String>;

impl View {
    /// Pools of the cluster beside those of the file. Of two that do not go together the older one
    /// holds, whichever nodes they are for: so all nodes agree.
    pub(in crate::kube) fn arrange(
        &mut self,
        all: &[impl AsRef<IPPool>],
        file: &[PoolSpec],
        own: &Labels,
    ) {
        let mut sorted: Vec<&IPPool> = all.iter().map(AsRef::as_ref).collect();
        sorted.sort_by_key(|pool| {
            (pool.metadata.creation_timestamp.clone(), pool.metadata.name.clone())
        });
        let mut held: Vec<PoolSpec> = Vec::new();
        for object in sorted {
            let name = object.metadata.name.clone().unwrap_or_default();
            let pool = match Pool::try_from(object) {
                Ok(pool) => pool,
                Err(invalid) => {
                    self.bad.insert(name, chain(&invalid));
                    continue;
                }
            };
            let others = held.iter().chain(file);
            if let Some(clash) = others.into_iter().find_map(|it| pool.spec.goes_with(it).err()) {
                self.bad.insert(name, clash.to_string());
                continue;
            }
            held.push(pool.spec.clone());
            if pool.nodes.matches(own) {
                let (namespaces, pods) =
                    (object.spec.namespace_selector.clone(), object.spec.pod_selector.clone());
                self.pools.insert(name, Wanted { pool, namespaces, pods });
            }
        }
    }
}
