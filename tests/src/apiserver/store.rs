//! The objects, and the changes that led to them. One number counts every change of all
//! collections: the resource version.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    crd,
    kind::{self, Kind},
    object::{Key, Object, meta},
    status::Failure,
};

/// The objects of a resource.
pub(crate) type Collection = BTreeMap<Key, Arc<Object>>;

/// Where an object is among all.
pub(crate) type Place = (Arc<str>, Key);

/// A change that a watch may tell.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    resource: Arc<str>,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Object>>,
    /// What the object is now, or was at its end.
    pub(crate) now: Arc<Object>,
    pub(crate) deleted: bool,
}

/// All that the server remembers.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) kinds: Vec<Arc<Kind>>,
    collections: HashMap<Arc<str>, Collection>,
    version: u64,
    /// What happened up to this version is forgotten.
    compacted: u64,
    history: VecDeque<Change>,
    /// The objects that name a uid as their owner, and the uids that there are.
    dependents: HashMap<String, HashSet<Place>>,
    uids: HashSet<String>,
    /// Objects that may have lost their owner, for the collector.
    suspects: Vec<Place>,
    random: fastrand::Rng,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            kinds: kind::built_in(),
            collections: HashMap::new(),
            version: 1,
            compacted: 0,
            history: VecDeque::new(),
            dependents: HashMap::new(),
            uids: HashSet::new(),
            suspects: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            changed: watch::channel(1).0,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Tells of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The kind of a resource; `version` is of no matter to who asks for its objects.
    pub(crate) fn kind(&self, resource: &str) -> Option<Arc<Kind>> {
        self.kinds.iter().find(|kind| *kind.resource == *resource).cloned()
    }

    /// The kind that an object says it is of.
    pub(crate) fn kind_of(&self, value: &Value) -> Option<Arc<Kind>> {
        let is = |kind: &&Arc<Kind>| {
            value["kind"] == kind.kind && value["apiVersion"] == kind.api_version()
        };
        self.kinds.iter().find(is).cloned()
    }

    pub(crate) fn get(&self, resource: &str, key: &Key) -> Option<&Arc<Object>> {
        self.collections.get(resource)?.get(key)
    }

    /// The objects of a resource as they were at a version.
    pub(crate) fn at(&self, resource: &str, version: u64) -> Result<Cow<'_, Collection>, Failure> {
        let changes = self.since(resource, version)?;
        let objects = self.collections.get(resource).map(Cow::Borrowed).unwrap_or_default();
        if changes.is_empty() {
            return Ok(objects);
        }
        let mut objects = objects.into_owned();
        for change in changes.into_iter().rev() {
            match change.before {
                Some(before) => objects.insert(change.key, before),
                None => objects.remove(&change.key),
            };
        }
        Ok(Cow::Owned(objects))
    }

    /// The objects of a resource now.
    pub(crate) fn objects(&self, resource: &str) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.collections.get(resource).into_iter().flatten()
    }

    /// What happened to a resource after a version.
    pub(crate) fn since(&self, resource: &str, version: u64) -> Result<Vec<Change>, Failure> {
        if version < self.compacted {
            return Err(Failure::too_old(version, self.compacted));
        }
        let start = self.history.partition_point(|change| change.version <= version);
        let of_resource = |change: &&Change| *change.resource == *resource;
        Ok(self.history.range(start..).filter(of_resource).cloned().collect())
    }

    /// Forgets how the objects came to be what they are.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.history.clear();
    }

    /// Stores what an object is from now on.
    pub(crate) fn set(&mut self, kind: &Kind, key: &Key, mut value: Value) -> Arc<Object> {
        if *kind.resource == *crd::RESOURCE {
            crd::accept(&mut value);
            let custom = crd::kinds(&value);
            self.forget_kinds(&key.name);
            self.kinds.extend(custom);
        }
        self.version += 1;
        let now = Arc::new(Object::new(value, self.version));
        let objects = self.collections.entry(Arc::clone(&kind.resource)).or_default();
        let before = objects.insert(key.clone(), Arc::clone(&now));
        let place = (Arc::clone(&kind.resource), key.clone());
        if let Some(before) = &before {
            self.unlink(before, &place);
        } else if owners(&now.value).next().is_some() {
            self.suspects.push(place.clone());
        }
        self.link(&now, &place);
        self.record(place, before, Arc::clone(&now), false);
        now
    }

    /// Takes an object away and returns what it was at its end: `last`, or what is stored.
    pub(crate) fn remove(
        &mut self,
        kind: &Kind,
        key: &Key,
        last: Option<Value>,
    ) -> Option<Arc<Object>> {
        let before = self.collections.get_mut(&kind.resource)?.remove(key)?;
        let place = (Arc::clone(&kind.resource), key.clone());
        self.unlink(&before, &place);
        let orphans = self.dependents.get(before.meta("uid"));
        self.suspects.extend(orphans.into_iter().flatten().cloned());
        self.version += 1;
        let last = last.unwrap_or_else(|| before.value.clone());
        let last = Arc::new(Object::new(last, self.version));
        self.record(place, Some(before), Arc::clone(&last), true);
        if *kind.resource == *crd::RESOURCE {
            self.remove_all_of(&key.name);
            self.forget_kinds(&key.name);
        }
        Some(last)
    }

    /// Objects that may have lost their owner since this was last asked.
    pub(crate) fn take_suspects(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.suspects)
    }

    /// Whether an object names owners of which none is there.
    pub(crate) fn is_orphan(&self, object: &Value) -> bool {
        owners(object).next().is_some() && owners(object).all(|uid| !self.uids.contains(uid))
    }

    pub(crate) fn random_uid(&mut self) -> String {
        let digits = format!("{:032x}", self.random.u128(..));
        let (a, b, c, d) = (&digits[..8], &digits[8..12], &digits[13..16], &digits[17..20]);
        format!("{a}-{b}-4{c}-a{d}-{}", &digits[20..])
    }

    /// The end of a generated name, of letters that form no word.
    pub(crate) fn random_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(LETTERS[self.random.usize(..LETTERS.len())])).collect()
    }

    fn record(
        &mut self,
        (resource, key): Place,
        before: Option<Arc<Object>>,
        now: Arc<Object>,
        deleted: bool,
    ) {
        let version = self.version;
        self.history.push_back(Change { version, resource, key, before, now, deleted });
        self.changed.send_replace(version);
    }

    fn link(&mut self, object: &Object, place: &Place) {
        self.uids.insert(object.meta("uid").to_owned());
        for owner in owners(&object.value) {
            self.dependents.entry(owner.to_owned()).or_default().insert(place.clone());
        }
    }

    fn unlink(&mut self, object: &Object, place: &Place) {
        self.uids.remove(object.meta("uid"));
        for owner in owners(&object.value) {
            if let Some(places) = self.dependents.get_mut(owner) {
                places.remove(place);
            }
        }
    }

    fn remove_all_of(&mut self, resource: &str) {
        let Some(kind) = self.kind(resource) else { return };
        let keys: Vec<Key> = self.objects(resource).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.remove(&kind, &key, None);
        }
    }

    /// A definition has the name of the resource that it defines.
    fn forget_kinds(&mut self, resource: &str) {
        self.kinds.retain(|kind| kind.schema.is_none() || *kind.resource != *resource);
    }
}

/// The uids of an object's owners.
fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let references = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|reference| reference["uid"].as_str())
}

/// The present time as Kubernetes writes it.
pub(crate) fn now() -> Value {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

/// The key of an object by its metadata.
pub(crate) fn key_of(value: &Value) -> Key {
    Key { namespace: meta(value, "namespace").to_owned(), name: meta(value, "name").to_owned() }
}
