//! Services, from what the cluster has of `Service` and `EndpointSlice`.
//!
//! | file | part |
//! | --- | --- |
//! | `convert` | an object in netpath's words |
//! | `catalog` | what was heard, put together, and what changed of it |

mod catalog;
mod convert;

use std::future::pending;

use futures::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client,
    runtime::{watcher, watcher::Event},
};

use self::{catalog::Catalog, convert::Slice};
use super::{
    objects::{EndpointSlice, Service},
    watch::watch,
};
use crate::service::{Item, ServiceName};

/// What is new.
#[derive(Debug)]
pub enum Update {
    /// All Services that there are.
    Whole(Vec<Item>),
    /// What changed since.
    Changes {
        /// What is new, or otherwise.
        items: Vec<Item>,
        /// What is not there any more.
        gone: Vec<ServiceName>,
    },
    /// The API server was not heard; why.
    Silent(String),
}

/// What another proxy answers for, and what nobody does (labels of kube-proxy's own selector).
const NOT_OURS: &str = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";

/// Changes that are taken together at most: while there are more, nobody should wait for the first.
const BURST: usize = 256;

enum Said {
    Service(Result<About<Item>, String>),
    Slice(Result<About<Slice>, String>),
}

/// The Services of the cluster, as they are heard.
pub struct Services {
    said: BoxStream<'static, Said>,
    catalog: Catalog,
}

impl Services {
    /// Follows them.
    #[must_use]
    pub fn follow(client: Client) -> Self {
        let ours = watcher::Config::default().labels(NOT_OURS);
        let services = watch(Api::<Service>::all(client.clone()), ours.clone());
        let services =
            services.map(|heard| Said::Service(heard.map(|event| about(event, convert::service))));
        let slices = watch(Api::<EndpointSlice>::all(client), ours);
        let slices =
            slices.map(|heard| Said::Slice(heard.map(|event| about(event, convert::slice))));
        Self { said: stream::select(services, slices).boxed(), catalog: Catalog::default() }
    }

    /// Waits for what is new.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.catalog.update() {
                return update;
            }
            // Watching goes on for ever.
            let Some(first) = self.said.next().await else { pending().await };
            let (mut said, mut left) = (Some(first), BURST);
            while let Some(one) = said {
                if let Err(silent) = self.catalog.hear(one) {
                    return Update::Silent(silent);
                }
                left -= 1;
                // What has come with it.
                said = if left > 0 { self.said.next().now_or_never().flatten() } else { None };
            }
        }
    }
}

impl Catalog {
    fn hear(&mut self, said: Said) -> Result<(), String> {
        match said {
            Said::Service(event) => self.services(event?),
            Said::Slice(event) => self.slices(event?),
        }
        Ok(())
    }
}

/// An event about a thing with a name; nothing of it: there is none, or it is not ours.
type About<T> = Event<(String, Option<T>)>;

/// An event about what an object is in netpath's words.
fn about<K, T>(event: Event<K>, convert: impl Fn(K) -> (String, Option<T>)) -> About<T> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(convert(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(convert(object)),
        Event::Delete(object) => Event::Delete(convert(object)),
    }
}

#[cfg(test)]
mod tests;
