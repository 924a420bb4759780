//! Why blocks can not be taken or given back.

use std::{error::Error as StdError, time::Duration};

/// Something that is tried again later.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The API server refused or failed.
    #[error("{action}: the API server does not do it")]
    Api {
        /// What was tried.
        action: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// No answer has come.
    #[error("{action}: the API server has not answered within {limit:?}")]
    Silent {
        /// What was tried.
        action: String,
        /// The longest that was waited.
        limit: Duration,
    },
    /// Others changed the object whenever this node was to.
    #[error("block {0} is changed by others all the time")]
    Contended(String),
    /// The node could not serve other pools.
    #[error("the pools of the cluster can not be kept")]
    Place(#[source] Box<dyn StdError + Send + Sync>),
}
