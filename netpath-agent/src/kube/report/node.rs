//! The reporter: it keeps the status of a node's `NodeNetwork`.

use std::{error::Error as StdError, time::Duration};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::time::{Instant, sleep};

use super::{
    error::Error,
    look::{Look, same},
    object::Object,
};
use crate::{
    error::chain,
    kube::{chance::chance, types::NodeNetworkStatus},
};

/// Looking may take so much of a processor: one part in this.
const SHARE: u32 = 250;

/// What is reported: the node.
pub trait Source: Send + Sync + 'static {
    /// How it is.
    fn look(&self) -> impl Future<Output = Result<Look, Box<dyn StdError + Send + Sync>>> + Send;
}

/// How often something is done, each time by chance a bit more or less often.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two looks at the node. More, where looking takes long.
    pub look: Duration,
    /// After which what has not changed is written again: it tells that the agent lives.
    pub refresh: Duration,
    /// After a failure; longer after each further one, up to 64 times as long.
    pub pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            refresh: Duration::from_mins(5),
            pause: Duration::from_secs(1),
        }
    }
}

/// What keeps the status of a node's `NodeNetwork`.
pub struct Reporter<S> {
    object: Object,
    source: S,
    timing: Timing,
    /// What the object says, once it was read.
    told: Option<NodeNetworkStatus>,
    /// When it is to be written even if nothing changes.
    stale: Instant,
    /// What the last look took.
    took: Duration,
    failures: u32,
}

impl<S: Source> Reporter<S> {
    /// A reporter for the node that the cluster calls so.
    #[must_use]
    pub fn new(client: Client, node: &str, source: S, timing: Timing) -> Self {
        let object = Object::new(client, node);
        let (told, stale) = (None, Instant::now());
        Self { object, source, timing, told, stale, took: Duration::ZERO, failures: 0 }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            let pause = match self.turn().await {
                Ok(()) => {
                    self.failures = 0;
                    let longest = self.timing.look.max(self.timing.refresh);
                    about((self.took * SHARE).clamp(self.timing.look, longest))
                }
                Err(error) => {
                    if self.failures == 0 {
                        let error = chain(&error);
                        tracing::warn!(error, "the NodeNetwork is not written; will try again");
                    }
                    let pause =
                        self.timing.pause.mul_f64(1.0 + chance()) * (1 << self.failures.min(5));
                    self.failures = self.failures.saturating_add(1);
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    /// Looks once, and writes what is new.
    async fn turn(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        let look = self.source.look().await.map_err(Error::Look)?;
        self.took = begin.elapsed();
        let told = match self.told.take() {
            Some(told) => told,
            None => self.object.read().await?,
        };
        let status = look.status(&told, Timestamp::now());
        if same(&status, &told) && Instant::now() < self.stale {
            self.told = Some(told);
        } else if self.object.write(&status).await? {
            self.told = Some(status);
            self.stale = Instant::now() + about(self.timing.refresh);
        }
        Ok(())
    }
}

/// Give or take a quarter, by chance: so that nodes that start at once do not go on like that.
fn about(duration: Duration) -> Duration {
    duration.mul_f64(0.75 + chance() / 2.0)
}
