//! The file of Services: what it says, and what follows when it changes.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::apply::Taken;
use crate::{
    config::Config,
    error::chain,
    node::{Node, Shared},
    service::{
        Item,
        file::{Error, ListFile},
        registry::{Origin, Outcome},
    },
    store::Change,
};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// The file, if there is one, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Watched {
    file: Option<ListFile>,
    problem: Option<String>,
}

impl Watched {
    pub(super) fn new(config: &Config) -> Self {
        Self { file: config.services.file.as_deref().map(ListFile::new), problem: None }
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

/// Has Services follow the file, if there is one.
pub(in crate::node) async fn watch_file(node: Shared) {
    let Some(mut file) = node.lock().await.services.file.file.clone() else { return };
    let mut timer = interval(PERIOD);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let look = spawn_blocking(move || {
            let read = file.look();
            (file, read)
        });
        // It panics only where there is a bug, which was told then.
        let Ok((looked, read)) = look.await else { return };
        file = looked;
        let Some(read) = read else { continue };
        let (journal, changes) = {
            let mut node = node.lock().await;
            (node.journal.clone(), node.follow_file(read))
        };
        if !changes.is_empty()
            && let Err(error) = journal.write(changes).await
        {
            tracing::error!(
                error = chain(&error),
                "Services that the file has now stay in the store"
            );
        }
    }
}

impl Node {
    /// Reads the file for the first time.
    pub(super) fn start_file(&mut self) {
        let Some(file) = &mut self.services.file.file else { return };
        if let Some(read) = file.look() {
            let changes = self.follow_file(read);
            self.journal.note(changes);
        }
    }

    /// Does what the file says. One that is bad changes nothing, and a Service in it that is bad leaves
    /// the one of that name as it was. Returns what is to be stored.
    fn follow_file(&mut self, read: Result<Vec<Item>, Error>) -> Vec<Change> {
        let items = match read {
            Ok(items) => items,
            Err(error) => {
                let error = chain(&error);
                tracing::error!(
                    error,
                    "the file of Services is not taken; what it said before holds"
                );
                self.services.file.problem = Some(error);
                return Vec::new();
            }
        };
        self.services.file.problem = None;
        self.services.refused.retain(|_, (origin, _)| *origin != Origin::File);
        let name = |item: &Item| match item {
            Ok(spec) => spec.name.to_string(),
            Err(unreadable) => unreadable.name.clone(),
        };
        let names: BTreeSet<_> = items.iter().map(name).collect();
        let registry = &self.services.registry;
        let dropped = registry.iter().filter(|held| held.origin == Origin::File);
        let dropped = dropped.map(|held| held.spec.name.clone());
        let dropped: Vec<_> = dropped.filter(|name| !names.contains(name.as_str())).collect();
        for name in &dropped {
            if let Err(error) = self.remove_service(name) {
                tracing::error!(service = %name, error = chain(&error), "not all of it was removed");
            }
        }
        let Taken { rows, changes } = self.take(items, Origin::File);
        let (mut created, mut changed, mut refused) = (0, 0, 0);
        for row in rows {
            match row.result {
                Ok(Outcome::Created) => created += 1,
                Ok(Outcome::Changed) => changed += 1,
                Ok(Outcome::Unchanged) => {}
                Err(failure) => {
                    refused += 1;
                    self.services.refuse(&row.name, Origin::File, failure.error);
                }
            }
        }
        let removed = dropped.len();
        tracing::info!(created, changed, removed, refused, "the file of Services was read");
        changes
    }
}
