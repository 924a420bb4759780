//! What was heard of this node's pods, of namespaces and of networks.

use std::{future::ready, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::{
    sync::{
        Notify,
        watch::{Receiver, channel},
    },
    time::timeout,
};

use super::said::{self, Said};
use crate::{
    kube::{
        objects::{Namespace, Pod},
        reflect::{is_whole, reflect, reflect_part},
        types::{Network, Owner},
    },
    pod::PodName,
};

/// How long a runtime may be ahead of what is heard here: both hear of a pod at the same time.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was heard, for whoever asks.
#[derive(Clone)]
pub struct Directory {
    pods: Store<Pod>,
    namespaces: Store<Namespace>,
    networks: Store<Network>,
    /// Whether the last thing that was heard was a failure.
    silent: Receiver<bool>,
}

impl Directory {
    /// Follows a node's pods for as long as the future is polled. `gone` is notified when one may have gone.
    pub fn follow(
        client: Client,
        node: &str,
        gone: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (said, silent) = channel(false);
        let all = watcher::Config::default();
        let own = all.clone().fields(&format!("spec.nodeName={node}"));
        let (pods, pods_said) = reflect_part(Api::<Pod>::all(client.clone()), own, |pod| {
            pod.meta_mut().managed_fields = None;
            said::keep(pod.annotations_mut());
        });
        let (namespaces, namespaces_said) =
            reflect_part(Api::<Namespace>::all(client.clone()), all.clone(), |namespace| {
                namespace.meta_mut().managed_fields = None;
                namespace.annotations_mut().clear();
            });
        let (networks, networks_said) = reflect(Api::<Network>::all(client), all);
        let directory = Self { pods, namespaces, networks, silent };
        let events = stream::select_all([pods_said, namespaces_said, networks_said]);
        let driver = events.for_each(move |heard| {
            // Those who wait are woken, whatever was heard.
            said.send_replace(heard.is_err());
            gone.notify_one();
            ready(())
        });
        (directory, driver)
    }

    /// What the cluster says of a pod, as far as it was heard.
    #[must_use]
    pub fn look(&self, pod: &PodName) -> Option<Said> {
        if self.is_whole() { self.say(pod) } else { None }
    }

    /// The same, given some time to be heard.
    pub async fn wait(&self, pod: &PodName) -> Option<Said> {
        let mut heard = self.silent.clone();
        let look = async {
            loop {
                heard.mark_unchanged();
                if let Some(said) = self.look(pod) {
                    return Some(said);
                }
                heard.changed().await.ok()?;
            }
        };
        timeout(PATIENCE, look).await.ok().flatten()
    }

    /// Whether the cluster has a pod of this name here, as far as it was heard. None: it was not heard yet.
    #[must_use]
    pub fn has(&self, pod: &Owner) -> Option<bool> {
        let key = ObjectRef::new(&pod.name).within(&pod.namespace);
        is_whole(&self.pods).then(|| self.pods.get(&key).is_some())
    }

    /// Whether the cluster has a pod of this UID here, as far as it was heard.
    #[must_use]
    pub fn has_uid(&self, uid: &str) -> Option<bool> {
        let is = |pod: &Arc<Pod>| is_of(pod, uid);
        is_whole(&self.pods).then(|| self.pods.state().iter().any(is))
    }

    /// Whether the API server is not heard.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self.silent.borrow() || !self.is_whole()
    }

    fn is_whole(&self) -> bool {
        is_whole(&self.pods) && is_whole(&self.namespaces) && is_whole(&self.networks)
    }

    fn say(&self, name: &PodName) -> Option<Said> {
        let pod = self.pods.get(&ObjectRef::new(&name.name).within(&name.namespace))?;
        // One of the same name may just have gone.
        let uid = name.uid.as_deref().filter(|uid| is_of(&pod, uid));
        if name.uid.is_some() && uid.is_none() {
            return None;
        }
        let namespace = self.namespaces.get(&ObjectRef::new(&name.namespace));
        let mut networks: Vec<Network> =
            self.networks.state().into_iter().map(Arc::unwrap_or_clone).collect();
        networks.sort_by_key(|it| (it.creation_timestamp(), it.name_any()));
        Some(Said {
            pod: Owner { namespace: name.namespace.clone(), name: name.name.clone() },
            uid: uid.map_or_else(|| pod.uid().unwrap_or_default(), str::to_owned),
            labels: pod.labels().clone(),
            annotations: pod.annotations().clone(),
            namespace: namespace.map(|it| it.labels().clone()).unwrap_or_default(),
            networks,
        })
    }
}

/// Whether a pod has a UID; a static one has two.
fn is_of(pod: &Pod, uid: &str) -> bool {
    let of_file = pod.annotations().get(said::STATIC);
    pod.metadata.uid.as_deref() == Some(uid) || of_file.is_some_and(|other| other == uid)
}
