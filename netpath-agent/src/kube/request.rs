//! What the API server is asked, and for how long. Whatever it answers, it may have done: an answer can be
//! lost.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
    core::Resource,
};
use serde::{Serialize, de::DeserializeOwned};

use super::objects::Node;

/// The longest that a request may take. One that takes longer may still be done.
const LIMIT: Duration = Duration::from_secs(10);

/// Objects to list at once.
const PAGE: u32 = 500;

/// How often a change is tried that others come before.
pub(super) const TRIES: usize = 5;

/// A request that may be tried again later.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
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
    #[error("{0} is changed by others all the time")]
    Contended(String),
}

/// A kind that is read and written.
pub(super) trait Kind: Resource + Clone + DeserializeOwned + Serialize + Debug {}

impl<K: Resource + Clone + DeserializeOwned + Serialize + Debug> Kind for K {}

pub(super) async fn ask<T>(
    action: impl FnOnce() -> String,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failed> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Failed::Api { action: action(), source: Box::new(source) }),
        Err(_) => Err(Failed::Silent { action: action(), limit: LIMIT }),
    }
}

/// All objects of a kind that labels choose.
pub(super) async fn list<K: Kind>(
    api: &Api<K>,
    labels: &str,
    what: &str,
) -> Result<Vec<K>, Failed> {
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE).labels(labels);
    loop {
        let mut page = ask(|| format!("list {what}"), api.list(&params)).await?;
        all.append(&mut page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// The names of all nodes.
pub(super) async fn node_names(nodes: &Api<Node>) -> Result<BTreeSet<String>, Failed> {
    let params = ListParams::default();
    let all = ask(|| "list nodes".to_owned(), nodes.list_metadata(&params)).await?;
    Ok(all.items.into_iter().filter_map(|node| node.metadata.name).collect())
}

/// Makes an object. None: there is one of that name.
pub(super) async fn create<K: Kind>(
    api: &Api<K>,
    object: &K,
    what: &str,
) -> Result<Option<K>, Failed> {
    let request = async {
        match api.create(&PostParams::default(), object).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    };
    ask(|| format!("make {what} {}", name(object)), request).await
}

/// Replaces an object, but for its status. None: somebody has changed it, or it is gone.
pub(super) async fn replace<K: Kind>(
    api: &Api<K>,
    object: &K,
    what: &str,
) -> Result<Option<K>, Failed> {
    let params = PostParams::default();
    let request = api.replace(name(object), &params, object);
    ask(|| format!("change {what} {}", name(object)), unless_changed(request)).await
}

/// Replaces an object's status in the same way.
pub(super) async fn replace_status<K: Kind>(
    api: &Api<K>,
    object: &K,
    what: &str,
) -> Result<Option<K>, Failed> {
    let params = PostParams::default();
    let request = api.replace_status(name(object), &params, object);
    ask(|| format!("change the status of {what} {}", name(object)), unless_changed(request)).await
}

/// Deletes an object unless somebody has changed it. Returns whether it is gone, or about to be.
pub(super) async fn delete<K: Kind>(api: &Api<K>, object: &K, what: &str) -> Result<bool, Failed> {
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: object.meta().uid.clone(),
        resource_version: object.meta().resource_version.clone(),
    });
    let request = async {
        match api.delete(name(object), &params).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    };
    ask(|| format!("delete {what} {}", name(object)), request).await
}

async fn unless_changed<K>(
    request: impl Future<Output = kube::Result<K>>,
) -> kube::Result<Option<K>> {
    match request.await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn name<K: Resource>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}
