//! Pools of the cluster, from what it has of `IPPool`, `IPBlock` and this `Node`.
//!
//! | file | part |
//! | --- | --- |
//! | `view` | which pools are for this node, and which can not be used |
//! | `share` | what this node has of them |

mod share;
mod view;

use std::{collections::BTreeMap, future::pending, sync::Arc};

use futures::{FutureExt as _, StreamExt as _, stream};
use kube::{
    Api, Client,
    runtime::{reflector::Store, watcher},
};

pub(super) use self::view::Labels;
pub use self::{
    share::{Share, Shares, merge},
    view::{View, Wanted},
};
use super::{
    objects::Node,
    reflect::{Said, is_whole, reflect},
    types::{IPBlock, IPPool, NODE_LABEL, label_value},
};
use crate::ipam::PoolSpec;

/// What is new.
#[derive(Debug)]
pub enum Update {
    /// All that there is.
    Heard(View),
    /// The API server was not heard; why.
    Silent(String),
}

/// Changes that are taken together at most: while there are more, nobody should wait for the first.
const BURST: usize = 256;

/// The pools of the cluster, as they are heard.
pub struct Pools {
    said: Said,
    specs: Store<IPPool>,
    blocks: Store<IPBlock>,
    nodes: Store<Node>,
    node: String,
    /// Those of the file, which hold.
    file: Vec<PoolSpec>,
}

impl Pools {
    /// Follows them, for a node whose file has some pools already.
    #[must_use]
    pub fn follow(client: Client, node: &str, file: &[PoolSpec]) -> Self {
        let all = watcher::Config::default();
        let own = all.clone().fields(&format!("metadata.name={node}"));
        let ours = all.clone().labels(&format!("{NODE_LABEL}={}", label_value(node)));
        let (specs, specs_said) = reflect(Api::<IPPool>::all(client.clone()), all);
        let (blocks, blocks_said) = reflect(Api::<IPBlock>::all(client.clone()), ours);
        let (nodes, nodes_said) = reflect(Api::<Node>::all(client), own);
        Self {
            said: stream::select_all([specs_said, blocks_said, nodes_said]).boxed(),
            specs,
            blocks,
            nodes,
            node: node.to_owned(),
            file: file.to_vec(),
        }
    }

    /// Waits for what is new; nothing is before all kinds have been listed.
    pub async fn next(&mut self) -> Update {
        loop {
            // Watching goes on for ever.
            let Some(first) = self.said.next().await else { pending().await };
            let (mut said, mut left, mut changed) = (Some(first), BURST, false);
            while let Some(one) = said {
                match one {
                    Ok(one) => changed |= one,
                    Err(why) => return Update::Silent(why),
                }
                left -= 1;
                // What has come with it.
                said = if left > 0 { self.said.next().now_or_never().flatten() } else { None };
            }
            if changed && is_whole(&self.specs) && is_whole(&self.blocks) && is_whole(&self.nodes) {
                return Update::Heard(self.view());
            }
        }
    }

    fn view(&self) -> View {
        let blocks = self.blocks.state().into_iter().filter_map(|block| {
            // The label may be of several nodes with long names.
            let ours = block.spec.node.as_ref() == Some(&self.node);
            let name = block.metadata.name.clone().filter(|_| ours)?;
            Some((name, Arc::unwrap_or_clone(block)))
        });
        let nodes = self.nodes.state();
        let named = !nodes.is_empty();
        let mut view = View { named, blocks: blocks.collect(), ..View::default() };
        let labels = nodes.first().and_then(|node| node.metadata.labels.clone());
        let labels: BTreeMap<_, _> = labels.unwrap_or_default();
        view.arrange(&self.specs.state(), &self.file, &labels);
        view
    }
}

#[cfg(test)]
mod tests;
