//! What the cluster is told of this node: its `NodeNetwork`.

use std::{error::Error as StdError, sync::Arc};

use ipnet::IpNet;
use kube::Client;

use super::{Error, Node, Shared, parents::locate};
use crate::{
    config::{self, Mode},
    error::chain,
    kube::{
        report::{Look, Ready, Reporter, Source, Timing},
        types::ParentStatus,
    },
    pod::ReadyQuestion,
};

/// What has the cluster know how the node is.
pub(super) fn reporter(node: &Shared, client: Client, name: &str) -> Reporter<Seen> {
    Reporter::new(client, name, Seen(Arc::clone(node)), Timing::default())
}

/// The node as the reporter sees it.
pub(super) struct Seen(Shared);

impl Source for Seen {
    async fn look(&self) -> Result<Look, Box<dyn StdError + Send + Sync>> {
        Ok(self.0.lock().await.look_whole().await?)
    }
}

impl Node {
    /// How the node is, for the cluster. How full maps are is left out: counting their entries takes as long
    /// as there are many, and everybody else waits meanwhile.
    async fn look_whole(&self) -> Result<Look, Error> {
        let translates = self.config.services.mode == Mode::Native;
        let blocks = self.pools.shares().values().flat_map(|share| share.blocks.keys());
        let question = ReadyQuestion { network: None, parent: None };
        Ok(Look {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            parents: self.look_at_parents().await?,
            pods: self.state.endpoints().filter(|record| record.attached.is_some()).count(),
            services: if translates { self.services.entry_count() } else { 0 },
            blocks: blocks.cloned().collect(),
            warnings: self.warnings(&[]).await?,
            ready: ready(self.ready(&question).await),
        })
    }

    async fn look_at_parents(&self) -> Result<Vec<ParentStatus>, Error> {
        let (links, carriers) = (self.netlink.links().await?, self.netlink.carriers().await?);
        let addresses = self.netlink.addresses().await?;
        let configured = &self.config.parents;
        let look = |parent: &config::Parent| {
            let config::Parent { name, attachment, .. } = parent;
            let link = locate(parent, configured, &links);
            let own = addresses.iter().filter(|own| link.is_some_and(|it| it.index == own.index));
            let own = own.filter_map(|own| IpNet::new(own.address, own.prefix_len).ok());
            let on_it = self.state.endpoints().filter(|record| record.spec.parent == *name);
            ParentStatus {
                name: name.to_string(),
                mac: link.and_then(|link| link.mac).map(|mac| mac.to_string()),
                mtu: link.map(|link| link.mtu),
                attachment: attachment.name().to_owned(),
                up: link.is_some_and(|link| carriers.contains(&link.index)),
                addresses: own.map(|own| own.to_string()).collect(),
                endpoints: u32::try_from(on_it.count()).unwrap_or(u32::MAX),
            }
        };
        Ok(configured.iter().map(look).collect())
    }
}

/// As the runtime is told by STATUS.
fn ready(answer: Result<(), Error>) -> Ready {
    match answer {
        Ok(()) => Ready::yes("Ready", "pods can be attached"),
        Err(error) => {
            let reason = match error {
                Error::ClusterUnknown => "ClusterUnknown",
                Error::Parent { .. } => "ParentUnusable",
                _ => "Failed",
            };
            Ready::no(reason, chain(&error))
        }
    }
}
