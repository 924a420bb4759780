//! The zone that the node is in, for topology hints.

use std::future::ready;

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client,
    runtime::{watcher, watcher::Event},
};

use super::{objects::Node, watch::watch};

/// The label that says it (well-known labels of Kubernetes).
const LABEL: &str = "topology.kubernetes.io/zone";

/// The zone of a node, whenever it is heard.
pub fn follow(client: Client, node: &str) -> impl Stream<Item = Option<String>> + use<> {
    let own = watcher::Config::default().fields(&format!("metadata.name={node}"));
    watch(Api::<Node>::all(client), own).filter_map(|heard| {
        // Following Services says why, if the API server does not answer.
        ready(match heard {
            Ok(Event::Apply(node) | Event::InitApply(node)) => {
                Some(node.metadata.labels.unwrap_or_default().remove(LABEL))
            }
            _ => None,
        })
    })
}
