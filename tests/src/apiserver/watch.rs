//! Watches: the changes of a scope as lines of JSON, for as long as the client listens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, Interval, interval_at, sleep_until},
};

use super::{
    Shared,
    http::Query,
    list::Scope,
    object::Object,
    status::Failure,
    store::{Change, Store},
};

/// A watch that is open.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    scope: Scope,
    /// All up to this version is told.
    told: u64,
    changed: watch::Receiver<u64>,
    bookmarks: Option<Interval>,
    ends: Option<Instant>,
    /// What is told before anything else.
    first: Vec<u8>,
    failed: bool,
}

impl Watch {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        store: &Store,
        scope: Scope,
        query: &Query,
    ) -> Result<Self, Failure> {
        let period = shared.options.bookmarks;
        let start = Instant::now();
        let asked = query.number("resourceVersion")?.unwrap_or_default();
        let streams = query.is("sendInitialEvents");
        let limit = query.number("timeoutSeconds")?.filter(|&limit| limit > 0);
        let mut watch = Self {
            shared: Arc::clone(shared),
            scope,
            told: asked,
            changed: store.subscribe(),
            bookmarks: query.is("allowWatchBookmarks").then(|| interval_at(start + period, period)),
            ends: limit.map(|limit| start + Duration::from_secs(limit)),
            first: Vec::new(),
            failed: false,
        };
        if asked == 0 || streams {
            watch.told = store.version();
            let objects = store.objects(&watch.scope.kind.resource);
            for (_, object) in objects.filter(|(key, object)| watch.scope.holds(key, object)) {
                line(&mut watch.first, "ADDED", |out| object.write(&watch.scope.kind, out));
            }
        }
        if streams {
            let all_told = json!({"k8s.io/initial-events-end": "true"});
            watch.first.extend(watch.bookmark(Some(all_told)));
        }
        shared.watches.fetch_add(1, Ordering::Relaxed);
        Ok(watch)
    }

    /// The next lines, or none at the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first).into());
        }
        loop {
            if self.failed {
                return None;
            }
            self.changed.mark_unchanged();
            let lines = self.news();
            if !lines.is_empty() {
                return Some(lines.into());
            }
            let bookmarks = &mut self.bookmarks;
            let bookmark = async {
                match bookmarks {
                    Some(period) => drop(period.tick().await),
                    None => std::future::pending().await,
                }
            };
            let end = async {
                match self.ends {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = bookmark => return Some(self.bookmark(None).into()),
                () = end => return None,
            }
        }
    }

    /// What happened since, or why that can not be told.
    fn news(&mut self) -> Vec<u8> {
        let (changes, version) = {
            let store = self.shared.store();
            (store.since(&self.scope.kind.resource, self.told), store.version())
        };
        let mut lines = Vec::new();
        match changes {
            Ok(changes) => {
                self.told = self.told.max(version);
                for change in &changes {
                    self.tell(change, &mut lines);
                }
            }
            Err(failure) => {
                self.failed = true;
                line(&mut lines, "ERROR", |out| out.extend(failure.json().to_string().bytes()));
            }
        }
        lines
    }

    fn tell(&self, change: &Change, lines: &mut Vec<u8>) {
        let Change { version, key, before, now, deleted, .. } = change;
        let kind = &self.scope.kind;
        let before = before.as_ref().filter(|before| self.scope.holds(key, before));
        let stays = !deleted && self.scope.holds(key, now);
        match (before, stays) {
            (Some(_), true) => line(lines, "MODIFIED", |out| now.write(kind, out)),
            (None, true) => line(lines, "ADDED", |out| now.write(kind, out)),
            (Some(_), false) if *deleted => line(lines, "DELETED", |out| now.write(kind, out)),
            // To the watcher an object ends as it last knew it.
            (Some(before), false) => {
                let last = Object::new(before.value.clone(), *version);
                line(lines, "DELETED", |out| last.write(kind, out));
            }
            (None, false) => {}
        }
    }

    fn bookmark(&self, annotations: Option<Value>) -> Vec<u8> {
        let kind = &self.scope.kind;
        let mut object = json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"resourceVersion": self.told.to_string(), "creationTimestamp": null},
        });
        if let Some(annotations) = annotations {
            object["metadata"]["annotations"] = annotations;
        }
        let mut lines = Vec::new();
        line(&mut lines, "BOOKMARK", |out| out.extend(object.to_string().bytes()));
        lines
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

fn line(out: &mut Vec<u8>, event: &str, object: impl FnOnce(&mut Vec<u8>)) {
    out.extend(format!("{{\"type\":\"{event}\",\"object\":").bytes());
    object(out);
    out.extend(b"}\n");
}
