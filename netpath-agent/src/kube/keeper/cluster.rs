//! What the API server is asked.

use std::collections::BTreeSet;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Api, Client, ResourceExt as _};

use crate::kube::{
    objects::Node,
    request::{self, Failed, TRIES, ask},
    types::{IPBlock, NODE_LABEL, label_value},
};

/// When a block was last found to be its node's: a new value makes the object a new one, so that a
/// deletion which was sent before and comes late does nothing.
const CONFIRMED: &str = "netpath.io/confirmed";

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
    pub(super) async fn list(&self) -> Result<Vec<IPBlock>, Failed> {
        request::list(&self.blocks, "", "blocks").await
    }

    /// Takes a block that is nobody's. Returns whether it was that.
    pub(super) async fn create(&self, block: &IPBlock) -> Result<bool, Failed> {
        Ok(request::create(&self.blocks, block, "block").await?.is_some())
    }

    /// Makes sure that a block is this node's, and that nobody takes it for a gone node's. None: it is
    /// not this node's.
    pub(super) async fn confirm(&self, name: &str) -> Result<Option<IPBlock>, Failed> {
        for _ in 0..TRIES {
            let Some(mut block) = self.own(name).await? else { return Ok(None) };
            block.spec.orphaned_since = None;
            block.labels_mut().insert(NODE_LABEL.to_owned(), label_value(&self.node));
            block.annotations_mut().insert(CONFIRMED.to_owned(), Timestamp::now().to_string());
            if let Some(block) = self.replace(&block).await? {
                return Ok(Some(block));
            }
        }
        Err(Failed::Contended(format!("block {name}")))
    }

    /// Gives a block of this node back. It may be gone already.
    pub(super) async fn give_back(&self, name: &str) -> Result<(), Failed> {
        for _ in 0..TRIES {
            let Some(block) = self.own(name).await? else { return Ok(()) };
            if self.delete(&block).await? {
                return Ok(());
            }
        }
        Err(Failed::Contended(format!("block {name}")))
    }

    /// Notes that the node of a block is missing, unless somebody has changed the block.
    pub(super) async fn orphan(&self, block: &IPBlock) -> Result<(), Failed> {
        let mut block = block.clone();
        block.spec.orphaned_since = Some(Time(Timestamp::now()));
        self.replace(&block).await.map(drop)
    }

    /// Deletes a block unless somebody has changed it. Returns whether it is gone.
    pub(super) async fn delete(&self, block: &IPBlock) -> Result<bool, Failed> {
        request::delete(&self.blocks, block, "block").await
    }

    /// Whether a node is gone for certain.
    pub(super) async fn is_gone(&self, node: &str) -> Result<bool, Failed> {
        let found = ask(|| format!("look for node {node}"), self.nodes.get_metadata_opt(node));
        found.await.map(|node| node.is_none())
    }

    /// The names of all nodes.
    pub(super) async fn nodes(&self) -> Result<BTreeSet<String>, Failed> {
        request::node_names(&self.nodes).await
    }

    /// A block, if it is this node's.
    async fn own(&self, name: &str) -> Result<Option<IPBlock>, Failed> {
        let block = ask(|| format!("read block {name}"), self.blocks.get_opt(name)).await?;
        Ok(block.filter(|block| block.spec.node.as_ref() == Some(&self.node)))
    }

    /// Replaces a block; nothing if somebody has changed it.
    async fn replace(&self, block: &IPBlock) -> Result<Option<IPBlock>, Failed> {
        request::replace(&self.blocks, block, "block").await
    }
}
