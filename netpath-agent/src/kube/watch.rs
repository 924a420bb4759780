//! Following the objects of a kind: listed once, watched from there, listed anew when the API server has
//! forgotten where that was. Failures are waited out with growing pauses, each by chance a bit longer.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt as _, stream};
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

/// Follows the objects of a kind that selectors choose. A kind that the cluster does not have, as before its
/// definition is installed, has no objects.
pub(super) fn watch<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Heard<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let stream = watcher(api, config.timeout(TURN).page_size(PAGE)).default_backoff();
    let (mut is_known, mut is_told) = (false, false);
    stream.flat_map(move |heard| {
        let events = match heard {
            // What was listed once does not cease to be a kind: then something else is wrong.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                if status.is_not_found() && !is_known =>
            {
                if !is_told {
                    tracing::warn!(kind = %K::kind(&()), "the cluster does not have this kind; install its definition");
                }
                is_told = true;
                vec![Ok(Event::Init), Ok(Event::InitDone)]
            }
            Err(error) => vec![Err(chain(&error))],
            Ok(event) => {
                is_known |= matches!(event, Event::InitDone);
                vec![Ok(event)]
            }
        };
        stream::iter(events)
    })
}
