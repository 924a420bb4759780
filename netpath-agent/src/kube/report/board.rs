//! The objects of a kind, what is to be said of each, and which of them do not say it yet.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};

use super::judge::{Judged, Verdict};
use crate::kube::{
    keeper::Counts,
    reflect::{Said, is_whole, reflect},
    request::{self, Failed},
};

/// The objects of a kind.
///
/// One is open from when it is judged otherwise than before until it says so, and not for what others
/// write into its status: agents of two versions that word something differently would never come to
/// an end. Whatever it says, it is open whenever blocks were counted.
pub(super) struct Board<K: Judged> {
    api: Api<K>,
    store: Store<K>,
    verdicts: BTreeMap<String, Verdict>,
    /// By name, with how many blocks there are if that was counted.
    open: Counted,
}

type Counted = BTreeMap<String, Option<u32>>;

impl<K: Judged> Board<K> {
    /// Follows them, while it is listened.
    pub(super) fn follow(client: Client) -> (Self, Said)
    where
        K: kube::Resource<Scope = k8s_openapi::ClusterResourceScope>,
    {
        let api = Api::<K>::all(client);
        let (store, said) = reflect(api.clone(), watcher::Config::default());
        (Self { api, store, verdicts: BTreeMap::new(), open: Counted::new() }, said)
    }

    /// Judges what is there, and finds what does not say so.
    pub(super) fn judge(&mut self) {
        if !is_whole(&self.store) {
            return;
        }
        let verdicts = K::judge(&self.store.state());
        for (name, verdict) in &verdicts {
            if self.verdicts.get(name) != Some(verdict) {
                self.open.entry(name.clone()).or_default();
            }
        }
        self.verdicts = verdicts;
        let mut open = std::mem::take(&mut self.open);
        open.retain(|name, blocks| self.wanted(name, *blocks).is_some());
        self.open = open;
    }

    /// Takes in how many blocks each has.
    pub(super) fn count(&mut self, counts: &Counts) {
        let count = |name: &String| (name.clone(), Some(counts.get(name).copied().unwrap_or(0)));
        self.open = self.verdicts.keys().map(count).collect();
    }

    /// Forgets how many there were: that will have changed.
    pub(super) fn forget_counts(&mut self) {
        self.open.values_mut().for_each(|blocks| *blocks = None);
    }

    /// Whether there are any that do not say yet what they should.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The names of these, in an order by chance: agents that begin at the same time should not all
    /// try the same.
    pub(super) fn open(&self) -> Vec<String> {
        let mut names: Vec<_> = self.open.keys().cloned().collect();
        let order = RandomState::new();
        names.sort_by_cached_key(|name| order.hash_one(name));
        names
    }

    /// Whether an object has no status, and nobody has counted its blocks.
    pub(super) fn is_uncounted(&self, name: &str) -> bool {
        let object = self.store.get(&ObjectRef::new(name));
        object.is_some_and(|object| object.status().is_none())
            && self.open.get(name).is_some_and(Option::is_none)
    }

    /// Writes the status of an object, if it does not say by now what it should. Whoever writes at the
    /// same time has seen the same: if others come before, it stays open until it is seen what they
    /// wrote.
    pub(super) async fn tell(&mut self, name: &str, counted: Option<u32>) -> Result<(), Failed> {
        let blocks = counted.or(self.open.get(name).copied().flatten());
        if let Some(object) = self.wanted(name, blocks) {
            match request::replace_status(&self.api, &object, &K::kind(&())).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // It is not as its definition says: then nobody can write it.
                Err(Failed::Api { source, .. }) if is_invalid(&source) => {}
                Err(error) => return Err(error),
            }
        }
        self.open.remove(name);
        Ok(())
    }

    /// An object with the status that it should have, if it has another one.
    fn wanted(&self, name: &str, blocks: Option<u32>) -> Option<K> {
        let object = self.store.get(&ObjectRef::new(name))?;
        let before = object.status().cloned();
        let status = K::follow(
            before.clone().unwrap_or_default(),
            self.verdicts.get(name)?,
            blocks,
            Timestamp::now(),
        );
        if before.as_ref() == Some(&status) {
            return None;
        }
        let mut object = K::clone(&object);
        *object.status_mut() = Some(status);
        Some(object)
    }
}

fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_invalid())
}
