//! The garbage collector: what has lost all its owners goes too, a little later.

use std::time::Duration;

use tokio::time::sleep;

use super::{Shared, write};

/// How long the collector takes to notice.
const DELAY: Duration = Duration::from_millis(20);

/// Collects for as long as the server runs.
pub(crate) async fn collect(shared: &Shared) {
    let mut changed = shared.store().subscribe();
    while changed.changed().await.is_ok() {
        sleep(DELAY).await;
        let mut store = shared.store();
        for (resource, key) in store.take_suspects() {
            let (Some(kind), Some(object)) =
                (store.kind(&resource), store.get(&resource, &key).cloned())
            else {
                continue;
            };
            if store.is_orphan(&object.value) {
                write::delete(&mut store, &kind, &key, &object);
            }
        }
    }
}
