//! Keeping the objects of a kind, as they are heard.

use std::fmt::Debug;

use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use kube::{
    Api, Resource,
    runtime::{
        reflector::{self, Store},
        watcher,
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;

use super::watch::watch;

/// Whether something has changed, whenever something was said; or why nothing was.
pub(super) type Said = BoxStream<'static, Result<bool, String>>;

/// Keeps what is said of a kind, for as long as it is listened to. The store can be shared.
pub(super) fn reflect<K>(api: Api<K>, config: watcher::Config) -> (Store<K>, Said)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    reflect_part(api, config, |_| {})
}

/// The same without what nobody wants of the objects.
pub(super) fn reflect_part<K>(
    api: Api<K>,
    config: watcher::Config,
    mut strip: impl FnMut(&mut K) + Send + 'static,
) -> (Store<K>, Said)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, mut writer) = reflector::store();
    let said = watch(api, config).map(move |heard| {
        let mut event = heard?;
        if let Event::Apply(object) | Event::InitApply(object) = &mut event {
            strip(object);
        }
        writer.apply_watcher_event(&event);
        Ok(!matches!(event, Event::Init | Event::InitApply(_)))
    });
    (store, said.boxed())
}

/// Whether a whole list has come.
pub(super) fn is_whole<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.wait_until_ready().now_or_never().is_some_and(|ready| ready.is_ok())
}
