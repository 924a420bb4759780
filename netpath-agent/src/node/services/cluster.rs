//! Services of the Kubernetes cluster.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use kube::Client;

use crate::{
    kube::{
        services::{Services, Update},
        zone,
    },
    node::{Node, Shared},
    service::registry::Origin,
};

/// For how long an error of the API server counts: while it goes on, another one comes sooner.
const FRESH: Duration = Duration::from_secs(65);

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// Whether all Services were heard, now or by a predecessor.
    heard: bool,
    /// Why the API server did not answer, and when.
    silent: Option<(Instant, String)>,
}

impl Cluster {
    /// What the operator should know.
    pub(super) fn problem(&self) -> Option<String> {
        let (at, why) = self.silent.as_ref()?;
        (at.elapsed() < FRESH).then(|| {
            format!("the Kubernetes API server does not answer; what it said before holds: {why}")
        })
    }

    fn fell_silent(&mut self, why: String) {
        if self.problem().is_none() {
            tracing::warn!(
                why,
                "the Kubernetes API server does not answer; what it said before holds"
            );
        }
        self.silent = Some((Instant::now(), why));
    }
}

/// Has Services follow the cluster.
pub(in crate::node) async fn watch_cluster(node: Shared, client: Client) {
    let (name, configured) = {
        let node = node.lock().await;
        (node.services.node.clone(), node.config.services.zone.is_some())
    };
    if !configured {
        let (node, client) = (Arc::clone(&node), client.clone());
        tokio::spawn(async move {
            let mut zones = pin!(zone::follow(client, &name));
            while let Some(zone) = zones.next().await {
                node.lock().await.move_to(zone);
            }
        });
    }
    let mut services = Services::follow(client);
    loop {
        let update = services.next().await;
        node.lock().await.follow_cluster(update);
    }
}

impl Node {
    /// Whether it is known what the cluster has.
    pub(in crate::node) fn knows_cluster(&self) -> bool {
        self.services.cluster.heard || !self.config.follows_services()
    }

    /// What a predecessor heard is known as well.
    pub(super) fn remember_cluster(&mut self) {
        let registry = &self.services.registry;
        self.services.cluster.heard = registry.iter().any(|held| held.origin == Origin::Kubernetes);
    }

    /// Does what the cluster says.
    fn follow_cluster(&mut self, update: Update) {
        let changes = match update {
            Update::Whole(items) => {
                self.services.cluster.heard = true;
                self.follow_list(items, Origin::Kubernetes)
            }
            Update::Changes { items, gone } => {
                self.follow_changes(items, &gone, Origin::Kubernetes)
            }
            Update::Silent(why) => return self.services.cluster.fell_silent(why),
        };
        if !changes.is_empty() {
            // Nobody waits for the disk: the cluster says again what it lost.
            self.journal.note(changes);
        }
    }

    /// Has Services follow the zone that the node is in.
    fn move_to(&mut self, zone: Option<String>) {
        if self.services.zone == zone {
            return;
        }
        tracing::info!(zone, "the node's zone, by its label");
        self.services.zone = zone;
        let names: Vec<_> =
            self.services.registry.iter().map(|held| held.spec.name.clone()).collect();
        for name in names {
            self.refresh_service(&name);
        }
        self.settle_services();
    }
}
