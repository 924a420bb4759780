//! The cluster that the node is in, as far as its pods are concerned.

use std::{fmt, sync::Arc};

use kube::Client;
use tokio::sync::watch;

use super::{Error, Node, Shared, events::Events, fixed, pools, report};
use crate::{
    kube::{
        fixed::{Keeper, Registry, Timing},
        pods::{Directory, Said},
        pools::View,
        report::{Publisher, SPREAD},
    },
    pod::PodName,
    store::Change,
};

/// The way to the cluster.
pub(super) struct Cluster {
    /// What it says of pods.
    pub(super) directory: Directory,
    /// Its fixed addresses.
    pub(super) registry: Registry,
    /// What it wants of its pools.
    pub(super) views: watch::Receiver<Arc<View>>,
    /// Where pods are told why they are not attached.
    pub(super) events: Events,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// Has the node take part in its cluster.
pub(super) async fn join(node: &Shared, client: Client) {
    let (name, idle) = {
        let node = node.lock().await;
        // What the cluster calls it: the name for Services may be another one.
        let name = node.config.kubernetes.node.as_deref().unwrap_or(node.services.node());
        (name.to_owned(), Arc::clone(&node.fixed.idle))
    };
    let blocks = pools::keeper(node, client.clone(), &name).await;
    let views = blocks.views();
    let (directory, follow) = Directory::follow(client.clone(), &name, Arc::clone(&idle));
    let events = Events::new(client.clone(), &name);
    let publisher = Publisher::new(client.clone(), blocks.counts(), SPREAD);
    let reporter = report::reporter(node, client.clone(), &name);
    let registry = Registry::new(client, &name, Timing::default());
    let cluster = Arc::new(Cluster { directory, registry: registry.clone(), views, events });
    let holder = fixed::Holder { node: Arc::clone(node), cluster: Arc::clone(&cluster) };
    node.lock().await.cluster = Some(cluster);
    tokio::spawn(Box::pin(blocks.run()));
    tokio::spawn(follow);
    tokio::spawn(publisher.run());
    tokio::spawn(reporter.run());
    tokio::spawn(Keeper::new(registry, holder, idle).run());
}

impl Cluster {
    /// What the cluster says of a pod, or said before. None: it is a static pod, of which it says nothing
    /// before somebody has made an object for it.
    pub(super) async fn find(&self, node: &Shared, pod: &PodName) -> Result<Option<Said>, Error> {
        let now = self.directory.look(pod);
        let known = match now {
            None if self.directory.is_silent() => node.lock().await.said_before(pod),
            now => now,
        };
        let said = match known {
            Some(said) => said,
            None => match self.directory.wait(pod).await {
                Some(said) => said,
                // The kubelet makes these UIDs itself, without dashes.
                None if pod.uid.as_ref().is_some_and(|uid| !uid.contains('-')) => return Ok(None),
                None => {
                    let (pod, silent) = (pod.clone(), self.directory.is_silent());
                    return Err(Error::PodUnknown { pod, silent });
                }
            },
        };
        node.lock().await.remember(&said);
        Ok(Some(said))
    }
}

impl Node {
    /// What the cluster said of a pod before.
    fn said_before(&self, pod: &PodName) -> Option<Said> {
        let is = |said: &&Said| match &pod.uid {
            Some(uid) => said.uid == *uid,
            None => said.pod.namespace == pod.namespace && said.pod.name == pod.name,
        };
        self.said.values().find(is).cloned()
    }

    /// Keeps what the cluster says of a pod. Nobody waits for the disk: it says it again.
    fn remember(&mut self, said: &Said) {
        if self.said.get(&said.uid) != Some(said) {
            self.journal.note(vec![Change::PutSaid(Box::new(said.clone()))]);
            self.said.insert(said.uid.clone(), said.clone());
        }
    }

    /// Forgets what the cluster said of pods that are gone.
    pub(super) fn forget_said(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        let is_gone = |uid: &&String| cluster.directory.has_uid(uid) == Some(false);
        let gone: Vec<String> = self.said.keys().filter(is_gone).cloned().collect();
        if gone.is_empty() {
            return;
        }
        self.said.retain(|uid, _| !gone.contains(uid));
        self.journal.note(gone.into_iter().map(Change::RemoveSaid).collect());
    }
}
