//! What was heard of this node's pods, of namespaces and of networks.

use std::{fmt::Debug, future::ready, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        reflector::{self, ObjectRef, Store},
        watcher,
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
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
        types::{Network, Owner},
        watch::watch,
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
        let (pods, pods_said) = reflect(Api::<Pod>::all(client.clone()), own, |pod| {
            said::keep(pod.annotations_mut());
        });
        let namespaces = reflect(Api::<Namespace>::all(client.clone()), all.clone(), |it| {
            it.annotations_mut().clear();
        });
        let networks = reflect(Api::<Network>::all(client), all, |_| {});
        let directory = Self { pods, namespaces: namespaces.0, networks: networks.0, silent };
        let events =
            stream::select_all([pods_said.boxed(), namespaces.1.boxed(), networks.1.boxed()]);
        let driver = events.for_each(move |heard| {
            // Those who wait are woken, whatever was heard.
            said.send_replace(heard.is_err());
            if heard == Ok(true) {
                gone.notify_one();
            }
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

/// Keeps what is said of a kind, without what nobody wants; tells whether an object has gone.
fn reflect<K>(
    api: Api<K>,
    config: watcher::Config,
    mut strip: impl FnMut(&mut K) + Send + 'static,
) -> (Store<K>, impl stream::Stream<Item = Result<bool, String>> + Send)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, mut writer) = reflector::store();
    let said = watch(api, config).map(move |heard| {
        let mut event = heard?;
        if let Event::Apply(object) | Event::InitApply(object) = &mut event {
            object.managed_fields_mut().clear();
            strip(object);
        }
        writer.apply_watcher_event(&event);
        Ok(matches!(event, Event::Delete(_) | Event::InitDone))
    });
    (store, said)
}

fn is_whole<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.wait_until_ready().now_or_never().is_some_and(|ready| ready.is_ok())
}
