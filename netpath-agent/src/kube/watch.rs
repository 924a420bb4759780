//! Following the objects of a kind: listed once, watched from there, listed anew when the API server has
//! forgotten where that was. Failures are waited out with growing pauses, each by chance a bit longer.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;

use crate::error::chain;

/// Seconds after which the API server ends a watch by itself, and it is begun anew: the longest that the
/// client library takes.
const TURN: u32 = 290;

/// A connection that says nothing for longer than that is dead.
pub(super) const SILENCE: Duration = Duration::from_secs(TURN as u64 + 10);

/// Objects to list at once: more than that would be much memory at a start.
const PAGE: u32 = 500;

/// What was heard of a kind, or why nothing was.
pub(super) type Heard<K> = Result<Event<K>, String>;

/// Follows the objects of a kind that selectors choose.
pub(super) fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Heard<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let stream = watcher(api, config.timeout(TURN).page_size(PAGE)).default_backoff();
    stream.map(|heard| heard.map_err(|error| chain(&error)))
}
