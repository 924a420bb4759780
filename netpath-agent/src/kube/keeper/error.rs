//! Why blocks can not be taken or given back.

use std::error::Error as StdError;

use crate::kube::request::Failed;

/// Something that is tried again later.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Request(#[from] Failed),
    /// The node could not serve other pools.
    #[error("the pools of the cluster can not be kept")]
    Place(#[source] Box<dyn StdError + Send + Sync>),
}
