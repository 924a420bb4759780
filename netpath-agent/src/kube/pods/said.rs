//! What is kept of what the cluster said of a pod, so that it can be attached anew while the API server is
//! silent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    kube::types::{Network, Owner, annotation},
    name::InterfaceName,
};

/// Labels as objects have them.
pub type Labels = BTreeMap<String, String>;

/// The annotations that matter.
const ANNOTATIONS: [&str; 6] = [
    annotation::NETWORK,
    annotation::POOLS,
    annotation::FIXED,
    annotation::ROUTES,
    annotation::INGRESS,
    annotation::EGRESS,
];

/// What the cluster said of a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The pod.
    pub pod: Owner,
    /// Its UID.
    pub uid: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its annotations that matter.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The labels of its namespace.
    #[serde(default)]
    pub namespace: Labels,
    /// The networks that its annotation and the CNI configuration may mean.
    #[serde(default)]
    pub networks: Vec<Network>,
}

/// Keeps the annotations that matter.
pub(super) fn keep(annotations: &mut BTreeMap<String, String>) {
    annotations.retain(|name, _| ANNOTATIONS.contains(&name.as_str()) || name == STATIC);
}

/// The annotation of the object that stands for a static pod: the UID by which the kubelet calls it.
pub(super) const STATIC: &str = "kubernetes.io/config.hash";

/// Whether annotations are about an interface: only the first one is Kubernetes' own.
pub(super) fn is_first(interface: &InterfaceName) -> bool {
    *interface == InterfaceName::ETH0
}
