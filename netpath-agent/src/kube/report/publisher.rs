//! The publisher: it keeps the status of pools and networks, together with those of all other nodes.
//!
//! All of them know the same, and any may write. After a change each waits a while by chance, and looks
//! again: the first one writes, and the others see that it is done.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use kube::{Api, Client};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::board::Board;
use crate::{
    error::chain,
    kube::{
        chance::chance,
        keeper::Counts,
        reflect::Said,
        request::{self, Failed},
        types::{IPBlock, IPPool, Network, POOL_LABEL, label_value},
    },
};

/// The longest that an agent waits after a change before it looks whether others have written.
pub const SPREAD: Duration = Duration::from_secs(3);

/// What keeps the status of pools and networks.
pub struct Publisher {
    said: Said,
    pools: Board<IPPool>,
    networks: Board<Network>,
    blocks: Api<IPBlock>,
    counts: watch::Receiver<Counts>,
    spread: Duration,
    /// When to look, if anything may have to be written.
    due: Option<Instant>,
    failures: u32,
}

impl Publisher {
    /// A publisher that waits so long at most, and is told how many blocks pools have whenever they
    /// are counted.
    #[must_use]
    pub fn new(client: Client, counts: watch::Receiver<Counts>, spread: Duration) -> Self {
        let (pools, pools_said) = Board::follow(client.clone());
        let (networks, networks_said) = Board::follow(client.clone());
        let said = stream::select(pools_said, networks_said).boxed();
        let blocks = Api::all(client);
        Self { said, pools, networks, blocks, counts, spread, due: None, failures: 0 }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        loop {
            let due = self.due.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(said) = self.said.next() => self.hear(&said),
                Ok(()) = self.counts.changed() => {
                    self.pools.count(&self.counts.borrow_and_update());
                    self.wake();
                }
                () = sleep_until(due), if self.due.is_some() => self.attempt().await,
            }
        }
    }

    fn hear(&mut self, said: &Result<bool, String>) {
        match said {
            Ok(true) => self.wake(),
            Ok(false) => {}
            // Who needs them for more than this warns.
            Err(why) => tracing::debug!(why, "pools or networks are not heard"),
        }
    }

    fn wake(&mut self) {
        let wait = self.spread.mul_f64(chance());
        self.due.get_or_insert_with(|| Instant::now() + wait);
    }

    async fn attempt(&mut self) {
        self.due = None;
        match self.turn().await {
            Ok(()) => {
                self.failures = 0;
                if self.pools.is_open() || self.networks.is_open() {
                    self.wake();
                }
            }
            Err(error) => {
                if self.failures == 0 {
                    let error = chain(&error);
                    tracing::warn!(
                        error,
                        "pools and networks are not told how they are; will try again"
                    );
                }
                self.pools.forget_counts();
                let pause = self.spread.mul_f64(0.5 + chance()) * (1 << self.failures.min(5));
                self.due = Some(Instant::now() + pause);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// Writes what others have not written by now. What can not be written is no reason to leave the
    /// rest as it is.
    async fn turn(&mut self) -> Result<(), Failed> {
        self.pools.judge();
        self.networks.judge();
        let mut result = Ok(());
        for name in self.pools.open() {
            self.catch_up();
            result = result.and(self.tell_pool(&name).await);
        }
        for name in self.networks.open() {
            self.catch_up();
            result = result.and(self.networks.tell(&name, None).await);
        }
        result
    }

    /// Hears what was said meanwhile.
    fn catch_up(&mut self) {
        while let Some(Some(said)) = self.said.next().now_or_never() {
            self.hear(&said);
        }
    }

    async fn tell_pool(&mut self, name: &str) -> Result<(), Failed> {
        let counted = if self.pools.is_uncounted(name) {
            Some(count(&self.blocks, name).await?)
        } else {
            None
        };
        self.pools.tell(name, counted).await
    }
}

/// How many blocks a pool has.
async fn count(blocks: &Api<IPBlock>, pool: &str) -> Result<u32, Failed> {
    let of_pool = format!("{POOL_LABEL}={}", label_value(pool));
    let blocks = request::list(blocks, &of_pool, "blocks").await?;
    Ok(u32::try_from(blocks.len()).unwrap_or(u32::MAX))
}
