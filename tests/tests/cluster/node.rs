//! A node with nothing but addresses of blocks, and what keeps them.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as StdError,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use netpath_agent::{
    config,
    ipam::{AddressRange, Allocation, Ipam, Request, Usage},
    kube::{
        keeper::{Keeper, Place},
        pools::{Shares, View, merge},
    },
    name::InterfaceName,
    pod::PodId,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::cluster::{BLOCKS, Cluster, LIMIT, TIMING, client};

/// A node with nothing but addresses and a keeper.
pub(crate) struct Node {
    pub(crate) name: String,
    state: Mutex<State>,
    low: Arc<Notify>,
    ledger: Arc<Mutex<HashMap<IpAddr, String>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// What the cluster wants of its pools.
    pub(crate) views: Mutex<Option<watch::Receiver<Arc<View>>>>,
}

pub(crate) struct State {
    ipam: Ipam,
    pub(crate) shares: Shares,
    warnings: Vec<String>,
}

/// What the keeper is given of it.
pub(crate) struct Holder(Arc<Node>);

impl Place for Holder {
    async fn shares(&self) -> Shares {
        self.0.state().shares.clone()
    }

    async fn usage(&self, ranges: &[AddressRange]) -> Vec<Usage> {
        let state = self.0.state();
        ranges.iter().map(|range| state.ipam.usage(*range, [])).collect()
    }

    async fn users(&self, range: AddressRange) -> Vec<Allocation> {
        self.0.state().ipam.allocations_within(range).cloned().collect()
    }

    async fn serve(
        &self,
        shares: &Shares,
        unused: Option<AddressRange>,
    ) -> Result<bool, Box<dyn StdError + Send + Sync>> {
        let mut state = self.0.state();
        if unused.is_some_and(|range| state.ipam.allocations_within(range).next().is_some()) {
            return Ok(false);
        }
        let _ = state.ipam.set_pools(&merge(&[], shares).0);
        state.shares.clone_from(shares);
        Ok(true)
    }

    async fn tell(&self, warnings: Vec<String>) {
        self.0.state().warnings = warnings;
    }
}

pub(crate) fn id(pod: &str) -> PodId {
    let (network, container) = ("net".to_owned(), pod.to_owned());
    PodId { network, container, interface: InterfaceName::ETH0 }
}

impl Node {
    pub(crate) async fn new(cluster: &Cluster, name: &str) -> Arc<Self> {
        cluster.put_node(name);
        let node = Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(State {
                ipam: Ipam::new(&config::Ipam { cooldown_seconds: 0, fixed_ttl_seconds: 0 }, &[]),
                shares: Shares::new(),
                warnings: Vec::new(),
            }),
            low: Arc::default(),
            ledger: Arc::clone(&cluster.ledger),
            keeper: Mutex::default(),
            views: Mutex::default(),
        });
        node.start(cluster).await;
        node
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) async fn start(self: &Arc<Self>, cluster: &Cluster) {
        let (client, low) = (client(&cluster.server), Arc::clone(&self.low));
        self.state().warnings.clear();
        let place = Holder(Arc::clone(self));
        let keeper = Keeper::new(client, &self.name, &[], place, low, TIMING).await;
        *self.views.lock().unwrap() = Some(keeper.views());
        *self.keeper.lock().unwrap() = Some(tokio::spawn(keeper.run()));
    }

    /// The agent ends, and what it had in the store stays.
    pub(crate) async fn stop(&self) {
        let keeper = self.keeper.lock().unwrap().take().unwrap();
        keeper.abort();
        keeper.await.unwrap_err();
    }

    /// Adds a pod if there are addresses. Nobody else may have them, and the API server says that
    /// their blocks are this node's.
    pub(crate) fn try_add(&self, cluster: &Cluster, pod: &str) -> Option<Vec<IpAddr>> {
        let id = id(pod);
        let request =
            Request { id: &id, pools: &[], owner: None, requested: &[], taken: &|_| false };
        let mut state = self.state();
        let granted = state.ipam.allocate(&request, 0);
        self.low.notify_one();
        let grant = granted.ok()?;
        let addresses: Vec<_> = grant.addresses.iter().map(|given| given.address.addr()).collect();
        let mut ledger = self.ledger.lock().unwrap();
        for address in &addresses {
            let before = ledger.insert(*address, self.name.clone());
            assert_eq!(before, None, "{address} is another's, and {}'s too", self.name);
            let share = state.shares.values().flat_map(|share| &share.blocks);
            let (block, _) = share.into_iter().find(|(_, it)| it.contains(*address)).unwrap();
            let block = cluster.server.get(BLOCKS, "", block).unwrap().unwrap();
            assert_eq!(block["spec"]["node"], self.name.as_str(), "{address}");
        }
        Some(addresses)
    }

    pub(crate) async fn add(&self, cluster: &Cluster, pod: &str) -> Vec<IpAddr> {
        let added = async {
            loop {
                match self.try_add(cluster, pod) {
                    // A pool of one family may come before the other's.
                    Some(addresses) if addresses.len() == 2 => return addresses,
                    Some(_) => self.remove(pod),
                    None => {}
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(LIMIT, added).await.expect("addresses")
    }

    pub(crate) fn remove(&self, pod: &str) {
        let mut state = self.state();
        let id = id(pod);
        let rows = state.ipam.allocations().filter(|row| {
            matches!(&row.holder, netpath_agent::ipam::Holder::Attached { id: of } if *of == id)
        });
        let addresses: Vec<_> = rows.map(|row| row.address).collect();
        let mut ledger = self.ledger.lock().unwrap();
        for address in addresses {
            assert_eq!(ledger.remove(&address).as_ref(), Some(&self.name));
        }
        let _ = state.ipam.release(&id, 0);
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.state().warnings.clone()
    }

    /// How many blocks it hands out from, by pool.
    pub(crate) fn blocks(&self) -> BTreeMap<String, usize> {
        let state = self.state();
        let serving = state.shares.values().filter(|share| share.spec.is_some());
        serving.map(|share| (share.pool.clone(), share.blocks.len())).collect()
    }
}
