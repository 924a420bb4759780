//! Writing to the store without keeping anybody else waiting.
//!
//! A write takes as long as the disk takes to confirm it. Whatever is asked for in the meantime
//! becomes the next write, one transaction for all who wait (group commit).

use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::Error;
use crate::store::{Change, Lock, Store};

/// Changes that one transaction takes at most.
const BATCH: usize = 256;

type Confirmation = oneshot::Sender<Result<(), Arc<crate::store::Error>>>;

/// The way to the store. Clones write to the same one.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    writer: mpsc::Sender<(Vec<Change>, Confirmation)>,
}

impl Journal {
    /// Takes the store to a thread of its own, and the lock with it: it is given back when the last
    /// write is done.
    pub(super) fn start(store: Store, lock: Lock) -> Result<Self, Error> {
        let (writer, changes) = mpsc::channel();
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread
            .spawn(move || {
                write(&store, &changes);
                drop(store);
                drop(lock);
            })
            .map_err(|source| Error::Io { action: "start the store's thread", source })?;
        Ok(Self { writer })
    }

    /// Makes changes that nobody waits for.
    pub(super) fn note(&self, changes: Vec<Change>) {
        let (confirm, _) = oneshot::channel();
        // Without its thread, the agent is ending.
        let _ = self.writer.send((changes, confirm));
    }

    /// Makes changes, all or none; they are on the disk when this returns.
    ///
    /// Changes are made in the order in which these calls begin. A change of memory that others may
    /// follow up must be handed over before anybody else can run: on the agent's one thread, without
    /// an `await` in between.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let (confirm, confirmed) = oneshot::channel();
        let gone = || Error::Io {
            action: "write to the store",
            source: std::io::Error::other("its thread has ended"),
        };
        self.writer.send((changes, confirm)).map_err(|_| gone())?;
        confirmed.await.map_err(|_| gone())?.map_err(Error::Journal)
    }
}

fn write(store: &Store, requests: &mpsc::Receiver<(Vec<Change>, Confirmation)>) {
    while let Ok((mut changes, confirm)) = requests.recv() {
        let mut waiting = vec![confirm];
        while changes.len() < BATCH
            && let Ok((more, confirm)) = requests.try_recv()
        {
            changes.extend(more);
            waiting.push(confirm);
        }
        let result = store.apply(&changes).map_err(Arc::new);
        for confirm in waiting {
            // Who asked may be gone.
            let _ = confirm.send(result.clone());
        }
    }
}
