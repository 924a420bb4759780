//! A node's `NodeNetwork` at the API server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, Resource as _,
    api::{Patch, PatchParams},
};

use super::error::Error;
use crate::kube::{
    objects::Node,
    request::{self, ask},
    types::{NodeNetwork, NodeNetworkSpec, NodeNetworkStatus},
};

/// Whose the fields of the status are.
const MANAGER: &str = "netpath-agent";

/// The object of a node.
pub(super) struct Object {
    objects: Api<NodeNetwork>,
    nodes: Api<Node>,
    node: String,
}

impl Object {
    pub(super) fn new(client: Client, node: &str) -> Self {
        let objects = Api::all(client.clone());
        Self { objects, nodes: Api::all(client), node: node.to_owned() }
    }

    /// What it says; it is made if it is not there.
    pub(super) async fn read(&self) -> Result<NodeNetworkStatus, Error> {
        let found = self.objects.get_opt(&self.node);
        match ask(|| format!("read NodeNetwork {}", self.node), found).await? {
            Some(object) => Ok(object.status.unwrap_or_default()),
            None => self.create().await.map(|()| NodeNetworkStatus::default()),
        }
    }

    /// Makes it, the Node's: Kubernetes collects it when that is gone.
    async fn create(&self) -> Result<(), Error> {
        let node = self.nodes.get_metadata_opt(&self.node);
        let node = ask(|| format!("look for node {}", self.node), node).await?;
        let uid = node.and_then(|node| node.metadata.uid);
        let owner = OwnerReference {
            api_version: Node::api_version(&()).into_owned(),
            kind: Node::kind(&()).into_owned(),
            name: self.node.clone(),
            uid: uid.ok_or_else(|| Error::NoNode(self.node.clone()))?,
            ..OwnerReference::default()
        };
        let mut object = NodeNetwork::new(&self.node, NodeNetworkSpec {});
        object.metadata.owner_references = Some(vec![owner]);
        // If somebody comes before, it is there.
        Ok(request::create(&self.objects, &object, "NodeNetwork").await.map(drop)?)
    }

    /// Says how the node is, all of it. Returns whether the object is there.
    pub(super) async fn write(&self, status: &NodeNetworkStatus) -> Result<bool, Error> {
        let mut object = NodeNetwork::new(&self.node, NodeNetworkSpec {});
        object.status = Some(status.clone());
        let request = async {
            let params = PatchParams::apply(MANAGER).force();
            match self.objects.patch_status(&self.node, &params, &Patch::Apply(&object)).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
                Err(error) => Err(error),
            }
        };
        Ok(ask(|| format!("change the status of NodeNetwork {}", self.node), request).await?)
    }
}
