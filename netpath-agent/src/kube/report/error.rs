//! Why the cluster is not told how a node is.

use std::error::Error as StdError;

use crate::kube::request::Failed;

/// Something that is tried again later.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Request(#[from] Failed),
    /// Nobody would collect the object.
    #[error("the cluster has no node {0:?}; set kubernetes.node")]
    NoNode(String),
    /// The node does not know itself.
    #[error("can not see how the node is")]
    Look(#[source] Box<dyn StdError + Send + Sync>),
}
