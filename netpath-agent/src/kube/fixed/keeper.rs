//! What becomes of fixed addresses while no pod asks: this node lets go of those that it does not need,
//! and any node finishes what is nobody's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource as _, ResourceExt as _, runtime::watcher};
use tokio::{
    sync::{Notify, OwnedMutexGuard},
    time::{Instant, sleep_until},
};

use super::{Error, Hold, Registry, Wish};
use crate::{
    error::chain,
    kube::{
        chance::chance,
        pools::View,
        reflect::{is_whole, reflect_part},
        request::{self, Failed},
        types::{Fixed, FixedIP, Owner},
    },
};

/// Changes that are taken together at most.
const BURST: usize = 256;

/// Who uses the addresses: the node.
pub trait Place: Send + Sync + 'static {
    /// What it has by its own word, from the store at first.
    fn holds(&self) -> impl Future<Output = Vec<Hold>> + Send;

    /// The right to work on an owner's addresses, if nobody else does.
    fn turn(&self, owner: &Owner) -> impl Future<Output = Option<OwnedMutexGuard<()>>> + Send;

    /// Whether the owner may want its addresses here: it is attached, or the cluster has it on this node.
    fn is_needed(&self, owner: &Owner) -> impl Future<Output = bool> + Send;

    /// Notes that it has addresses, by the API server's word.
    fn keep(&self, hold: Hold) -> impl Future<Output = ()> + Send;

    /// Notes on the disk that the API server is asked to let go.
    fn leave(&self, owner: &Owner) -> impl Future<Output = ()> + Send;

    /// Forgets what it had.
    fn forget(&self, owner: &Owner) -> impl Future<Output = ()> + Send;

    /// Takes the addresses from a pod here, since they are another node's.
    fn lose(&self, owner: &Owner) -> impl Future<Output = ()> + Send;

    /// The pools of the cluster.
    fn pools(&self) -> Arc<View>;
}

/// What keeps fixed addresses on a node.
pub struct Keeper<P> {
    registry: Registry,
    place: P,
    /// Tells that an owner may not be needed any more.
    idle: Arc<Notify>,
    known: BTreeMap<Owner, Arc<FixedIP>>,
    /// Objects that leave, by UID, and when this agent takes care of them.
    due: HashMap<String, Instant>,
    collect: Instant,
    failures: u32,
}

impl<P: Place> Keeper<P> {
    /// For a node. `idle` is notified when one of its pods has gone.
    pub fn new(registry: Registry, place: P, idle: Arc<Notify>) -> Self {
        let collect = Instant::now() + registry.timing.collect.mul_f64(chance());
        Self {
            registry,
            place,
            idle,
            known: BTreeMap::new(),
            due: HashMap::new(),
            collect,
            failures: 0,
        }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        let api = Api::<FixedIP>::all(self.registry.client.clone());
        let (store, mut said) = reflect_part(api, watcher::Config::default(), |object| {
            object.meta_mut().managed_fields = None;
        });
        let mut next = Instant::now();
        loop {
            let idle = Arc::clone(&self.idle);
            let is_free = self.failures == 0;
            let is_due = tokio::select! {
                _ = said.next() => {
                    // Whatever has come with it. The keeper of blocks says why, if nothing is heard.
                    for _ in 0..BURST {
                        if said.next().now_or_never().is_none() {
                            break;
                        }
                    }
                    is_free
                }
                () = idle.notified(), if is_free => true,
                () = sleep_until(next) => true,
            };
            if is_due && is_whole(&store) {
                let known = store.state().into_iter().map(|object| (object.owner(), object));
                self.known = known.collect();
                next = self.attempt().await;
            } else if is_due {
                next = Instant::now() + self.registry.timing.turn;
            }
        }
    }

    /// Does what there is to do. Returns when to look again.
    async fn attempt(&mut self) -> Instant {
        let turn = self.registry.timing.turn;
        match self.turn().await {
            Ok(()) => {
                self.failures = 0;
                let next = Instant::now() + turn.mul_f64(0.75 + chance() / 2.0);
                self.due.values().copied().fold(next, Instant::min)
            }
            Err(error) => {
                if self.failures == 0 {
                    let error = chain(&error);
                    tracing::warn!(error, "fixed addresses are not kept; will try again");
                }
                self.failures = self.failures.saturating_add(1);
                let pause = turn.mul_f64(0.1 + chance() / 10.0) * (1 << self.failures.min(5));
                Instant::now() + pause
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Failed> {
        let holds = self.place.holds().await;
        let mut result = Ok(());
        for hold in &holds {
            result = later(result, self.look_at(hold).await)?;
        }
        let held: BTreeSet<_> = holds.into_iter().map(|hold| hold.owner).collect();
        // What a predecessor took and did not come to use.
        let node = self.registry.node.as_str();
        let is_stray = |(owner, object): &(&Owner, &Arc<FixedIP>)| {
            object.node() == Some(node) && !held.contains(*owner)
        };
        let strays: Vec<_> = self.known.iter().filter(is_stray).collect();
        for (owner, object) in strays {
            let uid = object.uid().unwrap_or_default();
            result = later(result, self.let_go(owner, &uid).await)?;
        }
        result = later(result, self.finish().await)?;
        if Instant::now() >= self.collect {
            let period = self.registry.timing.collect;
            self.collect = Instant::now() + period.mul_f64(0.75 + chance() / 2.0);
            self.collect().await?;
        }
        result
    }

    /// Whether what this node has is still its own, and needed.
    async fn look_at(&self, hold: &Hold) -> Result<(), Failed> {
        let Hold { owner, uid, leaving, .. } = hold;
        self.let_go(owner, uid).await?;
        let known = self.known.get(owner).is_some_and(|it| self.registry.is_own(it, uid));
        if known || *leaving {
            return Ok(());
        }
        let Some(_turn) = self.place.turn(owner).await else { return Ok(()) };
        // The watch may lag, and a pod may have gone.
        let is_held = self.place.holds().await.contains(hold);
        if !is_held || self.registry.holds(owner, uid).await? {
            return Ok(());
        }
        let addresses = hold.addresses.iter().map(|given| given.address.addr()).collect();
        let fixed = Fixed::These(addresses);
        let wish = Wish { owner, fixed: &fixed, pools: &[] };
        match self.registry.regain(&wish, &self.place.pools()).await {
            // Its object was deleted by force, or changed by hand.
            Ok(Some(hold)) => {
                tracing::warn!(%owner, "its fixed addresses had been let go; they are taken again");
                self.place.keep(hold).await;
            }
            Ok(None) => {
                tracing::error!(%owner, "its fixed addresses are not this node's any more; they are withdrawn");
                self.place.lose(owner).await;
                self.place.forget(owner).await;
            }
            Err(Error::Request(failed)) => return Err(failed),
            // As while its pool is not heard yet.
            Err(error) => {
                tracing::debug!(%owner, error = chain(&error), "its fixed addresses can not be looked at");
            }
        }
        Ok(())
    }

    /// Lets go of what is not needed here.
    async fn let_go(&self, owner: &Owner, uid: &str) -> Result<(), Failed> {
        if self.place.is_needed(owner).await {
            return Ok(());
        }
        let Some(_turn) = self.place.turn(owner).await else { return Ok(()) };
        if self.place.is_needed(owner).await {
            return Ok(());
        }
        self.place.leave(owner).await;
        self.registry.let_go(owner, uid).await?;
        self.place.forget(owner).await;
        Ok(())
    }

    /// Finishes what leaves and is nobody's. Any agent can: each waits by chance, so that mostly one does.
    async fn finish(&mut self) -> Result<(), Failed> {
        let is_leaving = |object: &&Arc<FixedIP>| object.is_leaving() && object.node().is_none();
        let leaving: Vec<_> = self.known.values().filter(is_leaving).cloned().collect();
        let uids: BTreeSet<_> = leaving.iter().filter_map(|object| object.uid()).collect();
        self.due.retain(|uid, _| uids.contains(uid));
        let mut result = Ok(());
        for object in leaving {
            let courtesy = self.registry.timing.courtesy.mul_f64(chance());
            let due = self.due.entry(object.uid().unwrap_or_default());
            if *due.or_insert_with(|| Instant::now() + courtesy) <= Instant::now() {
                let released = self.registry.release(Arc::unwrap_or_clone(object)).await;
                result = later(result, released.map(drop))?;
            }
        }
        result
    }

    /// Looks after what no node does.
    async fn collect(&self) -> Result<(), Failed> {
        let names = self.known.values().filter_map(|object| object.node());
        let mut away: BTreeSet<_> = names.filter(|name| *name != self.registry.node).collect();
        if !away.is_empty() {
            let there = request::node_names(&self.registry.nodes).await?;
            away.retain(|name| !there.contains(*name));
        }
        let mut dead = BTreeSet::new();
        for node in away {
            if self.registry.is_dead(node).await? {
                dead.insert(node);
            }
        }
        for (owner, object) in &self.known {
            match object.node() {
                Some(node) if dead.contains(node) => {
                    tracing::info!(%owner, node, "the node is gone; its fixed addresses are let go");
                    self.registry.release(FixedIP::clone(object)).await?;
                }
                None if !object.is_leaving() && is_over(object) => {
                    tracing::info!(%owner, "its fixed addresses were kept long enough");
                    let api = self.registry.api(owner);
                    request::delete(&api, &**object, "FixedIP").await?;
                }
                _ => {}
            }
        }
        let live = self.known.values().filter_map(|object| object.uid()).collect();
        self.registry.strike_strays(&live).await
    }
}

/// What fails for one owner is no reason to leave the others as they are, unless the API server says nothing
/// at all: then each would be waited for.
fn later(
    before: Result<(), Failed>,
    now: Result<(), Failed>,
) -> Result<Result<(), Failed>, Failed> {
    match now {
        Err(failed @ Failed::Silent { .. }) => Err(failed),
        now => Ok(before.and(now)),
    }
}

/// Whether a `FixedIP` was nobody's for as long as it is to be kept.
fn is_over(object: &FixedIP) -> bool {
    let released = object.status.as_ref().and_then(|status| status.released_at.as_ref());
    let (Some(released), Some(ttl)) = (released, object.spec.ttl_seconds) else { return false };
    Timestamp::now().duration_since(released.0) >= SignedDuration::from_secs(ttl.into())
}
