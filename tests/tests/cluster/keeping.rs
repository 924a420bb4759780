//! A node with nothing but pods that keep their addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use netpath_agent::kube::{
    fixed::{Error, Hold, Keeper, Place, Registry, Timing, Wish},
    pools::View,
    types::{Fixed, Owner},
};
use tokio::{
    sync::{Mutex as Turn, Notify, OwnedMutexGuard, watch},
    task::JoinHandle,
};

use crate::{
    cluster::{Cluster, LIMIT, client},
    node::Node,
};

pub(crate) const TIMING: Timing = Timing {
    patience: LIMIT,
    poll: Duration::from_millis(5),
    gone: Duration::from_millis(200),
    turn: Duration::from_millis(50),
    courtesy: Duration::from_millis(50),
    collect: Duration::from_millis(200),
};

/// The pools of these tests.
const POOLS: [&str; 2] = ["four", "six"];

/// A node.
pub(crate) struct Keeping {
    name: String,
    registry: Registry,
    views: watch::Receiver<Arc<View>>,
    ledger: Arc<Mutex<std::collections::HashMap<IpAddr, String>>>,
    idle: Arc<Notify>,
    state: Mutex<State>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    holds: BTreeMap<Owner, Hold>,
    /// The pods that the cluster has here.
    needed: BTreeSet<Owner>,
    attached: BTreeMap<Owner, Vec<IpAddr>>,
    turns: BTreeMap<Owner, Arc<Turn<()>>>,
    lost: BTreeSet<Owner>,
}

struct Holder(Arc<Keeping>);

impl Place for Holder {
    async fn holds(&self) -> Vec<Hold> {
        self.0.state().holds.values().cloned().collect()
    }

    async fn turn(&self, owner: &Owner) -> Option<OwnedMutexGuard<()>> {
        self.0.queue(owner).try_lock_owned().ok()
    }

    async fn is_needed(&self, owner: &Owner) -> bool {
        let state = self.0.state();
        state.needed.contains(owner) || state.attached.contains_key(owner)
    }

    async fn keep(&self, hold: Hold) {
        self.0.state().holds.insert(hold.owner.clone(), hold);
    }

    async fn leave(&self, owner: &Owner) {
        if let Some(hold) = self.0.state().holds.get_mut(owner) {
            hold.leaving = true;
        }
    }

    async fn forget(&self, owner: &Owner) {
        self.0.state().holds.remove(owner);
    }

    async fn lose(&self, owner: &Owner) {
        self.0.withdraw(owner);
        self.0.state().lost.insert(owner.clone());
    }

    fn pools(&self) -> Arc<View> {
        self.0.views.borrow().clone()
    }
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner { namespace: "default".to_owned(), name: name.to_owned() }
}

impl Keeping {
    /// Beside a node that knows the pools.
    pub(crate) fn new(cluster: &Cluster, node: &Node) -> Arc<Self> {
        let keeping = Arc::new(Self {
            name: node.name.clone(),
            registry: Registry::new(client(&cluster.server), &node.name, TIMING),
            views: node.views.lock().unwrap().clone().unwrap(),
            ledger: Arc::clone(&cluster.ledger),
            idle: Arc::default(),
            state: Mutex::default(),
            keeper: Mutex::default(),
        });
        keeping.start();
        keeping
    }

    pub(crate) fn start(self: &Arc<Self>) {
        let (place, idle) = (Holder(Arc::clone(self)), Arc::clone(&self.idle));
        let keeper = Keeper::new(self.registry.clone(), place, idle);
        *self.keeper.lock().unwrap() = Some(tokio::spawn(keeper.run()));
    }

    /// The agent ends, and what it had in the store stays.
    pub(crate) async fn stop(&self) {
        let keeper = self.keeper.lock().unwrap().take().unwrap();
        keeper.abort();
        keeper.await.unwrap_err();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn queue(&self, owner: &Owner) -> Arc<Turn<()>> {
        Arc::clone(self.state().turns.entry(owner.clone()).or_default())
    }

    /// The cluster has a pod here, and the runtime attaches it. Nobody else may have its addresses.
    pub(crate) async fn add(&self, pod: &str, fixed: &Fixed) -> Result<Vec<IpAddr>, Error> {
        let owner = owner(pod);
        self.state().needed.insert(owner.clone());
        let _turn = self.queue(&owner).lock_owned().await;
        let known = self.state().holds.get(&owner).filter(|hold| !hold.leaving).cloned();
        let hold = if let Some(hold) = known {
            hold
        } else {
            let pools = POOLS.map(str::to_owned);
            let wish = Wish { owner: &owner, fixed, pools: &pools };
            let view = self.views.borrow().clone();
            self.registry.hold(&wish, &view).await?
        };
        let addresses: Vec<_> = hold.addresses.iter().map(|given| given.address.addr()).collect();
        self.state().holds.insert(owner.clone(), hold);
        let mut ledger = self.ledger.lock().unwrap();
        for address in &addresses {
            let before = ledger.insert(*address, self.name.clone());
            assert_eq!(before, None, "{address} of {pod} is another's, and {}'s too", self.name);
        }
        self.state().attached.insert(owner, addresses.clone());
        Ok(addresses)
    }

    /// The runtime detaches a pod, and the cluster has it no more.
    pub(crate) fn remove(&self, pod: &str) {
        let owner = owner(pod);
        self.withdraw(&owner);
        self.state().needed.remove(&owner);
        self.idle.notify_one();
    }

    /// The runtime detaches a pod which the cluster still has.
    pub(crate) fn detach(&self, pod: &str) {
        self.withdraw(&owner(pod));
    }

    fn withdraw(&self, owner: &Owner) {
        let mut ledger = self.ledger.lock().unwrap();
        for address in self.state().attached.remove(owner).into_iter().flatten() {
            assert_eq!(ledger.remove(&address).as_ref(), Some(&self.name));
        }
    }

    /// How many owners' addresses it has.
    pub(crate) fn holds(&self) -> usize {
        self.state().holds.len()
    }

    /// Whether it has asked to let addresses go.
    pub(crate) fn is_leaving(&self, pod: &str) -> bool {
        self.state().holds.get(&owner(pod)).is_some_and(|hold| hold.leaving)
    }

    /// Whether it had to withdraw a pod's addresses.
    pub(crate) fn has_lost(&self, pod: &str) -> bool {
        self.state().lost.contains(&owner(pod))
    }
}
