//! The file of Services: what it says, and what follows when it changes.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    config::Config,
    error::chain,
    node::{Node, Shared},
    service::{
        Item,
        file::{Error, ListFile},
        registry::Origin,
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
        self.follow_list(items, Origin::File)
    }
}
