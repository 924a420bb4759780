//! What the API server is asked. Whatever it answers, it may have done: an answer can be lost.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};

use super::error::Error;
use crate::kube::{
    objects::Node,
    types::{IPBlock, NODE_LABEL, label_value},
};

/// When a block was last found to be its node's: a new value makes the object a new one, so that a
/// deletion which was sent before and comes late does nothing.
const CONFIRMED: &str = "netpath.io/confirmed";

/// The longest that a request may take. One that takes longer may still be done.
const LIMIT: Duration = Duration::from_secs(10);

/// Objects to list at once.
const PAGE: u32 = 500;

/// How often a change is tried that others come before.
const TRIES: usize = 5;

/// The API server, as a node asks it.
#[derive(Clone)]
pub(super) struct Cluster {
    blocks: Api<IPBlock>,
    nodes: Api<Node>,
    pub(super) node: String,
}

impl Cluster {
    pub(super) fn new(client: Client, node: &str) -> Self {
        let blocks = Api::all(client.clone());
        Self { blocks, nodes: Api::all(client), node: node.to_owned() }
    }

    /// All blocks of all pools.
    pub(super) async fn list(&self) -> Result<Vec<IPBlock>, Error> {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let mut page = ask(|| "list blocks".to_owned(), self.blocks.list(&params)).await?;
            all.append(&mut page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    /// Takes a block that is nobody's. Returns whether it was that.
    pub(super) async fn create(&self, block: &IPBlock) -> Result<bool, Error> {
        let request = async {
            match self.blocks.create(&PostParams::default(), block).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
                Err(error) => Err(error),
            }
        };
        ask(|| format!("take block {}", block.name_any()), request).await
    }

    /// Makes sure that a block is this node's, and that nobody takes it for a gone node's. None: it is
    /// not this node's.
    pub(super) async fn confirm(&self, name: &str) -> Result<Option<IPBlock>, Error> {
        for _ in 0..TRIES {
            let Some(mut block) = self.own(name).await? else { return Ok(None) };
            block.spec.orphaned_since = None;
            block.labels_mut().insert(NODE_LABEL.to_owned(), label_value(&self.node));
            block.annotations_mut().insert(CONFIRMED.to_owned(), Timestamp::now().to_string());
            if let Some(block) = self.replace(&block).await? {
                return Ok(Some(block));
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Gives a block of this node back. It may be gone already.
    pub(super) async fn give_back(&self, name: &str) -> Result<(), Error> {
        for _ in 0..TRIES {
            let Some(block) = self.own(name).await? else { return Ok(()) };
            if self.delete(&block).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Notes that the node of a block is missing, unless somebody has changed the block.
    pub(super) async fn orphan(&self, block: &IPBlock) -> Result<(), Error> {
        let mut block = block.clone();
        block.spec.orphaned_since = Some(Time(Timestamp::now()));
        self.replace(&block).await.map(drop)
    }

    /// Deletes a block unless somebody has changed it. Returns whether it is gone.
    pub(super) async fn delete(&self, block: &IPBlock) -> Result<bool, Error> {
        let name = block.name_any();
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: block.uid(),
            resource_version: block.resource_version(),
        });
        let request = async {
            match self.blocks.delete(&name, &params).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
                Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
                Err(error) => Err(error),
            }
        };
        ask(|| format!("give block {name} back"), request).await
    }

    /// Whether a node is gone for certain.
    pub(super) async fn is_gone(&self, node: &str) -> Result<bool, Error> {
        let found = ask(|| format!("look for node {node}"), self.nodes.get_metadata_opt(node));
        found.await.map(|node| node.is_none())
    }

    /// The names of all nodes.
    pub(super) async fn nodes(&self) -> Result<BTreeSet<String>, Error> {
        let params = ListParams::default();
        let all = ask(|| "list nodes".to_owned(), self.nodes.list_metadata(&params)).await?;
        Ok(all.items.into_iter().filter_map(|node| node.metadata.name).collect())
    }

    /// A block, if it is this node's.
    async fn own(&self, name: &str) -> Result<Option<IPBlock>, Error> {
        let block = ask(|| format!("read block {name}"), self.blocks.get_opt(name)).await?;
        Ok(block.filter(|block| block.spec.node.as_ref() == Some(&self.node)))
    }

    /// Replaces a block; nothing if somebody has changed it.
    async fn replace(&self, block: &IPBlock) -> Result<Option<IPBlock>, Error> {
        let name = block.name_any();
        let request = async {
            match self.blocks.replace(&name, &PostParams::default(), block).await {
                Ok(block) => Ok(Some(block)),
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        ask(|| format!("change block {name}"), request).await
    }
}

async fn ask<T>(
    action: impl FnOnce() -> String,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Api { action: action(), source: Box::new(source) }),
        Err(_) => Err(Error::Silent { action: action(), limit: LIMIT }),
    }
}
