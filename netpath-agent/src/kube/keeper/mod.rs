//! The keeper of this node's blocks: it takes them of pools before they are needed, and gives back
//! what nobody uses, so that an addition of a pod never waits for the API server.
//!
//! A block is the node's while its object says so. Creating the object is all the locking that
//! there is: its name follows from its addresses, and only one can create it. So
//!
//! - addresses of a block are handed out only after its object was created, or was found to be this
//!   node's and changed;
//! - and no more before its object is deleted. From then on the block is not this node's until it
//!   has been taken anew, whatever became of the deletion.
//!
//! | file | part |
//! | --- | --- |
//! | `plan` | what to do about a pool |
//! | `cluster` | what the API server is asked |
//! | `own` | what this node has, and whether the API server agrees |
//! | `turn` | taking and giving back |
//! | `collect` | blocks of nodes that are gone |

mod cluster;
mod collect;
mod error;
mod own;
mod plan;
mod turn;

use std::{
    collections::{BTreeMap, HashSet},
    error::Error as StdError,
    sync::Arc,
    time::Duration,
};

use kube::Client;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

pub use self::collect::Counts;
use self::{cluster::Cluster, collect::Collector, error::Error, own::Own};
use super::{
    chance::chance,
    pools::{Pools, Shares, Update, View},
};
use crate::{
    error::chain,
    ipam::{AddressRange, Allocation, PoolSpec, Usage},
};

/// For how long a failure to hear counts: while it goes on, another one comes sooner.
const FRESH: Duration = Duration::from_secs(65);

/// Who hands the addresses out: the node.
pub trait Place: Send + Sync + 'static {
    /// What it has, from the store at first.
    fn shares(&self) -> impl Future<Output = Shares> + Send;

    /// How much of each range is used.
    fn usage(&self, ranges: &[AddressRange]) -> impl Future<Output = Vec<Usage>> + Send;

    /// Who has an address of a range, or had it just now.
    fn users(&self, range: AddressRange) -> impl Future<Output = Vec<Allocation>> + Send;

    /// Hands out from these from now on; they are on the disk when this returns. If some range is
    /// to be `unused` and is not, nothing changes, and the answer is false.
    fn serve(
        &self,
        shares: &Shares,
        unused: Option<AddressRange>,
    ) -> impl Future<Output = Result<bool, Box<dyn StdError + Send + Sync>>> + Send;

    /// Takes what the operator should know, all of it.
    fn tell(&self, warnings: Vec<String>) -> impl Future<Output = ()> + Send;
}

/// How often something is done, and how long is waited.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two looks at what is used, if nothing happens.
    pub turn: Duration,
    /// After a failure; longer after each further one, up to 64 times as long.
    pub pause: Duration,
    /// Before a pool without a free block is tried again.
    pub full: Duration,
    /// How long the watch may lag behind what this node has done itself. Much less than the grace.
    pub lag: Duration,
    /// Between two looks for blocks of nodes that are gone.
    pub collect: Duration,
    /// How long a node must be gone before its blocks are.
    pub grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            turn: Duration::from_secs(5),
            pause: Duration::from_millis(500),
            full: Duration::from_secs(30),
            lag: Duration::from_secs(15),
            collect: Duration::from_mins(5),
            grace: Duration::from_mins(10),
        }
    }
}

/// What keeps the blocks of a node.
pub struct Keeper<P> {
    cluster: Cluster,
    pools: Pools,
    counts: watch::Sender<Counts>,
    place: P,
    low: Arc<Notify>,
    timing: Timing,
    view: Arc<View>,
    views: watch::Sender<Arc<View>>,
    /// Whether the view was ever heard.
    heard: bool,
    /// Why the API server was not, and when.
    silent: Option<(Instant, String)>,
    own: BTreeMap<String, Own>,
    /// Objects of blocks that were given back, by uid, which the watch still shows.
    gone: HashSet<String>,
    /// What is handed out from; none: it is not known.
    served: Option<Shares>,
    /// Pools without a free block, and until when they are not tried.
    full: BTreeMap<String, Instant>,
    /// Blocks that others have now, though pods here have addresses of them.
    lost: BTreeMap<String, (AddressRange, String)>,
    failures: u32,
    /// The last failure, if what came after it has not succeeded.
    failure: Option<String>,
    told: Vec<String>,
}

impl<P: Place> Keeper<P> {
    /// A keeper for a node, whose file has some pools already. `low` is notified when an address
    /// was handed out, or there was none.
    pub async fn new(
        client: Client,
        node: &str,
        file: &[PoolSpec],
        place: P,
        low: Arc<Notify>,
        timing: Timing,
    ) -> Self {
        let served = place.shares().await;
        Self {
            cluster: Cluster::new(client.clone(), node),
            pools: Pools::follow(client, node, file),
            counts: watch::Sender::default(),
            own: own::stored(&served),
            gone: HashSet::new(),
            served: Some(served),
            place,
            low,
            timing,
            view: Arc::default(),
            views: watch::Sender::default(),
            heard: false,
            silent: None,
            full: BTreeMap::new(),
            lost: BTreeMap::new(),
            failures: 0,
            failure: None,
            told: Vec::new(),
        }
    }

    /// What the cluster wants of this node's pools, as it is heard; nothing at first.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.subscribe()
    }

    /// How many blocks each pool has, whenever all were listed.
    #[must_use]
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Goes on for ever.
    pub async fn run(self) {
        let collector = Collector::new(self.cluster.clone(), self.counts.clone(), &self.timing);
        futures::join!(self.keep(), collector.run());
    }

    async fn keep(mut self) {
        let low = Arc::clone(&self.low);
        let mut next = Instant::now() + self.timing.turn;
        loop {
            // Nothing that happens ends a pause.
            let is_free = self.failures == 0;
            let due = tokio::select! {
                update = self.pools.next() => {
                    self.hear(update);
                    is_free
                }
                () = low.notified(), if is_free => true,
                () = sleep_until(next) => true,
            };
            if due {
                next = self.attempt().await;
            }
            self.warn().await;
        }
    }

    fn hear(&mut self, update: Update) {
        match update {
            Update::Heard(view) => {
                for (pool, why) in &view.bad {
                    if self.view.bad.get(pool) != Some(why) {
                        tracing::warn!(pool, why, "the IPPool can not be used");
                    }
                }
                self.view = Arc::new(view);
                self.views.send_replace(Arc::clone(&self.view));
                self.heard = true;
            }
            Update::Silent(why) => {
                if self.is_silent().is_none() {
                    tracing::warn!(why, "pools of the cluster are not heard; what is known holds");
                }
                self.silent = Some((Instant::now(), why));
            }
        }
    }

    /// Why the API server was not heard, if that is not long ago.
    fn is_silent(&self) -> Option<&str> {
        let (at, why) = self.silent.as_ref()?;
        (at.elapsed() < FRESH).then_some(why)
    }

    /// Does what there is to do, if it is known. Returns when to look again.
    async fn attempt(&mut self) -> Instant {
        let turn = if self.heard { self.turn().await } else { Ok(()) };
        match turn {
            Ok(()) => {
                self.failures = 0;
                self.failure = None;
                Instant::now() + self.timing.turn.mul_f64(0.75 + chance() / 2.0)
            }
            Err(error) => {
                let why = chain(&error);
                if self.failures == 0 {
                    tracing::warn!(error = why, "blocks of addresses are not kept; will try again");
                }
                self.failure = Some(why);
                let pause = self.timing.pause.mul_f64(1.0 + chance()) * (1 << self.failures.min(5));
                self.failures = self.failures.saturating_add(1);
                Instant::now() + pause
            }
        }
    }

    /// Tells what the operator should know, if it is not what it was.
    async fn warn(&mut self) {
        let mut warnings = Vec::new();
        if let Some(why) = self.is_silent() {
            warnings
                .push(format!("pools of the cluster are not heard; what is known holds: {why}"));
        }
        if self.heard && !self.view.named {
            let node = &self.cluster.node;
            warnings.push(format!(
                "the cluster has no node {node:?}: others would collect its blocks as those of one that is gone; set kubernetes.node"
            ));
        }
        if let Some(why) = &self.failure {
            warnings.push(format!("blocks of addresses are not kept: {why}"));
        }
        warnings.extend(self.view.bad.iter().map(|(pool, why)| format!("IPPool {pool}: {why}")));
        for pool in self.full.keys() {
            warnings.push(format!("IPPool {pool} has no block left for this node; widen it"));
        }
        warnings.extend(self.lost.values().map(|(_, what)| what.clone()));
        if warnings != self.told {
            self.place.tell(warnings.clone()).await;
            self.told = warnings;
        }
    }
}
