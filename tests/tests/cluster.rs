//! Nodes take blocks of the cluster's pools and give them back: several keepers at once, against one
//! API server that fails, is slow and loses answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error as StdError,
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use kube::{Client, Config};
use netpath_agent::{
    config,
    ipam::{AddressRange, Allocation, Blocks, Ipam, PoolSpec, Request, Usage},
    kube::{
        keeper::{Keeper, Place, Timing},
        pools::{Shares, merge},
        types,
    },
    name::InterfaceName,
    pod::PodId,
};
use netpath_tests::apiserver::{ApiServer, Faults, Options};
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The longest that a condition may take.
const LIMIT: Duration = Duration::from_mins(1);

const BLOCKS: &str = "ipblocks.netpath.io";
const POOLS: &str = "ippools.netpath.io";

const TIMING: Timing = Timing {
    turn: Duration::from_millis(50),
    pause: Duration::from_millis(5),
    full: Duration::from_millis(100),
    lag: Duration::from_millis(100),
    collect: Duration::from_millis(100),
    grace: Duration::from_millis(400),
};

/// A cluster whose API server knows the kinds of netpath.
struct Cluster {
    server: ApiServer,
    /// Who has an address, over all nodes.
    ledger: Arc<Mutex<HashMap<IpAddr, String>>>,
}

impl Cluster {
    fn new(pools: &[(&str, Value)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let seed = std::env::var("NETPATH_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("NETPATH_SEED={seed}");
        let server = ApiServer::start(listener, Options { seed, ..Options::default() }).unwrap();
        for definition in types::all() {
            server.put(serde_json::to_value(definition).unwrap()).unwrap();
        }
        let cluster = Self { server, ledger: Arc::default() };
        for (name, spec) in pools {
            cluster.put_pool(name, spec);
        }
        cluster
    }

    fn put_pool(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        for (field, default) in [("default", json!(true)), ("priority", json!(0))] {
            if spec.get(field).is_none() {
                spec[field] = default;
            }
        }
        self.put("IPPool", name, &spec);
    }

    fn put_block(&self, name: &str, range: &str, node: &str) {
        let spec = json!({"pool": name.split('-').next(), "range": range, "node": node});
        self.put("IPBlock", name, &spec);
    }

    fn put(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        });
        self.server.put(object).unwrap();
    }

    fn put_node(&self, name: &str) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.server.put(node).unwrap();
    }

    /// The names of a node's blocks, or of everybody's.
    fn blocks(&self, node: Option<&str>) -> BTreeSet<String> {
        let all = self.server.list(BLOCKS, None).unwrap();
        let of_node = all.iter().filter(|it| node.is_none_or(|node| it["spec"]["node"] == node));
        of_node.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// No two blocks have an address in common.
    fn check_disjoint(&self) {
        let ranges = self.server.list(BLOCKS, None).unwrap();
        let ranges: Vec<AddressRange> = ranges
            .iter()
            .map(|it| it["spec"]["range"].as_str().unwrap().parse().unwrap())
            .collect();
        for (index, range) in ranges.iter().enumerate() {
            assert!(ranges[..index].iter().all(|other| !other.meets(*range)), "{range}");
        }
    }

    async fn node(&self, name: &str) -> Arc<Node> {
        self.put_node(name);
        let node = Arc::new(Node {
            name: name.to_owned(),
            state: Mutex::new(State {
                ipam: Ipam::new(&config::Ipam { cooldown_seconds: 0, fixed_ttl_seconds: 0 }, &[]),
                shares: Shares::new(),
                warnings: Vec::new(),
            }),
            low: Arc::default(),
            ledger: Arc::clone(&self.ledger),
            keeper: Mutex::default(),
        });
        node.start(self).await;
        node
    }
}

/// A node with nothing but addresses and a keeper.
struct Node {
    name: String,
    state: Mutex<State>,
    low: Arc<Notify>,
    ledger: Arc<Mutex<HashMap<IpAddr, String>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    ipam: Ipam,
    shares: Shares,
    warnings: Vec<String>,
}

/// What the keeper is given of it.
struct Holder(Arc<Node>);

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

fn client(server: &ApiServer) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}

fn id(pod: &str) -> PodId {
    let (network, container) = ("net".to_owned(), pod.to_owned());
    PodId { network, container, interface: InterfaceName::ETH0 }
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn start(self: &Arc<Self>, cluster: &Cluster) {
        let (client, low) = (client(&cluster.server), Arc::clone(&self.low));
        self.state().warnings.clear();
        let place = Holder(Arc::clone(self));
        let keeper = Keeper::new(client, &self.name, &[], place, low, TIMING).await;
        *self.keeper.lock().unwrap() = Some(tokio::spawn(keeper.run()));
    }

    /// The agent ends, and what it had in the store stays.
    async fn stop(&self) {
        let keeper = self.keeper.lock().unwrap().take().unwrap();
        keeper.abort();
        keeper.await.unwrap_err();
    }

    /// Adds a pod if there are addresses. Nobody else may have them, and the API server says that
    /// their blocks are this node's.
    fn try_add(&self, cluster: &Cluster, pod: &str) -> Option<Vec<IpAddr>> {
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

    async fn add(&self, cluster: &Cluster, pod: &str) -> Vec<IpAddr> {
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

    fn remove(&self, pod: &str) {
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

    fn warnings(&self) -> Vec<String> {
        self.state().warnings.clone()
    }

    /// How many blocks it hands out from, by pool.
    fn blocks(&self) -> BTreeMap<String, usize> {
        let state = self.state();
        let serving = state.shares.values().filter(|share| share.spec.is_some());
        serving.map(|share| (share.pool.clone(), share.blocks.len())).collect()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn dual() -> [(&'static str, Value); 2] {
    [
        ("four", json!({"subnet": "10.0.0.0/20", "blockSize": 16, "gateway": "10.0.0.1"})),
        ("six", json!({"subnet": "fd00::/64", "blockSize": 32, "gateway": "fe80::1"})),
    ]
}

fn faults() -> Faults {
    Faults {
        latency: Duration::ZERO..=Duration::from_millis(5),
        conflict: 0.1,
        cut_before: 0.05,
        cut_after: 0.1,
        throttled: 0.02,
        failed: 0.05,
    }
}

/// Pods a node: two addresses each, over four nodes two thousand.
const PODS: usize = 250;

#[tokio::test]
async fn no_address_is_ever_had_by_two_nodes() {
    let cluster = Cluster::new(&dual());
    let mut nodes = Vec::new();
    for name in ["one", "two", "three", "four"] {
        nodes.push(cluster.node(name).await);
    }
    until("first blocks", || nodes.iter().all(|node| node.blocks().len() == 2)).await;
    cluster.server.set_faults(faults());
    let start = Instant::now();
    let churn = nodes.iter().map(async |node| {
        let pod = |number: usize| format!("pod-{number}");
        for number in 0..PODS {
            node.add(&cluster, &pod(number)).await;
        }
        cluster.server.disconnect_all();
        cluster.server.compact();
        for number in (0..PODS).step_by(2) {
            node.remove(&pod(number));
            if number % 20 == 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        for number in (0..PODS).step_by(2) {
            node.add(&cluster, &pod(number)).await;
        }
    });
    futures::future::join_all(churn).await;
    let took = start.elapsed();
    assert_eq!(cluster.ledger.lock().unwrap().len(), nodes.len() * PODS * 2);
    cluster.check_disjoint();
    let (creates, lists) =
        (cluster.server.requests("create", BLOCKS), cluster.server.requests("list", BLOCKS));
    let blocks = cluster.blocks(None).len();
    println!("3000 additions took {took:?}; {blocks} blocks, {creates} creations, {lists} lists");

    for node in &nodes {
        for number in 0..PODS {
            node.remove(&format!("pod-{number}"));
        }
    }
    // What is left over serves the next pods: less than two and a half blocks a pool.
    let few = |node: &Arc<Node>| node.blocks().values().all(|count| *count <= 2);
    until("blocks are given back", || nodes.iter().all(few)).await;
    cluster.server.set_faults(Faults::default());
    let agree = |node: &Arc<Node>| {
        let shares = &node.state().shares;
        let own = shares.values().flat_map(|share| share.blocks.keys().cloned());
        let own: BTreeSet<_> = own.collect();
        own.len() <= 4 && own == cluster.blocks(Some(&node.name))
    };
    until("nothing leaks", || nodes.iter().all(agree)).await;
    cluster.check_disjoint();

    for node in &nodes[1..] {
        node.stop().await;
        cluster.server.delete("nodes", "", &node.name).unwrap();
    }
    let rest = || cluster.blocks(None) == cluster.blocks(Some("one"));
    until("blocks of gone nodes are collected", rest).await;
}

#[tokio::test]
async fn the_last_block_is_nobodys_twice() {
    // Four blocks for four nodes, which all want two.
    let cluster = Cluster::new(&[("few", json!({"subnet": "10.0.0.0/26", "blockSize": 16}))]);
    let mut nodes = Vec::new();
    for name in ["one", "two", "three", "four"] {
        nodes.push(cluster.node(name).await);
    }
    until("one each", || nodes.iter().all(|node| node.blocks().get("few") == Some(&1))).await;
    let mut had = 0;
    for number in 0..16 {
        for node in &nodes {
            had += usize::from(node.try_add(&cluster, &number.to_string()).is_some());
        }
    }
    assert_eq!(had, 62, "all but the subnet's own two");
    let is_told = |node: &Arc<Node>| {
        node.warnings().iter().any(|it| it.contains("IPPool few has no block left for this node"))
    };
    until("it is told", || nodes.iter().all(is_told)).await;
    cluster.check_disjoint();
    for number in 0..16 {
        nodes[0].remove(&number.to_string());
    }
    until("it has enough again", || nodes[0].warnings().is_empty()).await;
}

#[tokio::test]
async fn pods_are_added_while_the_api_server_is_away() {
    let cluster = Cluster::new(&dual());
    let one = cluster.node("one").await;
    until("both", || one.blocks().len() == 2).await;
    cluster.server.go_down().unwrap();
    // The subnet's own address and the gateway may be of the block.
    let pods = (0..14).map(|number| number.to_string());
    let had = pods.filter(|pod| one.try_add(&cluster, pod).is_some_and(|had| had.len() == 2));
    assert_eq!(had.count(), 14);
    let is_told =
        || one.warnings().iter().any(|it| it.starts_with("blocks of addresses are not kept"));
    until("it is told", is_told).await;
    // Another agent begins with what the store has.
    one.stop().await;
    one.start(&cluster).await;
    one.remove("0");
    assert!(one.try_add(&cluster, "0").is_some());
    cluster.server.come_up().unwrap();
    for number in 14..40 {
        one.add(&cluster, &number.to_string()).await;
    }
    let is_over = || !one.warnings().iter().any(|it| it.starts_with("blocks of addresses"));
    until("it is over", is_over).await;
}

#[tokio::test]
async fn a_node_that_lives_keeps_its_blocks_without_its_object() {
    let cluster = Cluster::new(&dual());
    let (one, _two) = (cluster.node("one").await, cluster.node("two").await);
    one.add(&cluster, "a").await;
    let uids = || -> BTreeSet<String> {
        let all = cluster.server.list(BLOCKS, None).unwrap().into_iter();
        let ours = all.filter(|it| it["spec"]["node"] == "one");
        ours.map(|it| it["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
    };
    let before = uids();
    cluster.server.delete("nodes", "", "one").unwrap();
    let replaced = cluster.server.requests("update", BLOCKS);
    until("it is noted and cleared, several times", || {
        cluster.server.requests("update", BLOCKS) > replaced + 12
    })
    .await;
    assert_eq!(uids(), before);
}

#[tokio::test]
async fn who_was_away_takes_its_blocks_again() {
    let cluster = Cluster::new(&dual());
    let (one, _two) = (cluster.node("one").await, cluster.node("two").await);
    let before = one.add(&cluster, "a").await;
    let blocks = cluster.blocks(Some("one"));
    one.stop().await;
    cluster.server.delete("nodes", "", "one").unwrap();
    until("they are collected", || cluster.blocks(Some("one")).is_empty()).await;
    cluster.put_node("one");
    one.start(&cluster).await;
    until("they are taken again", || cluster.blocks(Some("one")) == blocks).await;
    let after = one.add(&cluster, "b").await;
    assert!(after.iter().all(|address| !before.contains(address)));
    assert_eq!(one.warnings(), [""; 0]);
}

#[tokio::test]
async fn who_was_away_gives_up_what_is_anothers() {
    let cluster = Cluster::new(&dual());
    let one = cluster.node("one").await;
    let had = one.add(&cluster, "a").await;
    one.stop().await;
    let blocks = cluster.blocks(Some("one"));
    let four = blocks.iter().find(|name| name.starts_with("four")).unwrap();
    let range = cluster.server.get(BLOCKS, "", four).unwrap().unwrap()["spec"]["range"].clone();
    cluster.server.delete(BLOCKS, "", four).unwrap();
    // Its node lives, and may have cut the pool otherwise.
    cluster.put_node("other");
    cluster.put_block("four-other", range.as_str().unwrap(), "other");
    one.start(&cluster).await;
    let expected = format!(
        "block {four} ({}) has become other's, as block four-other",
        range.as_str().unwrap()
    );
    until("it is told", || one.warnings().iter().any(|it| it.starts_with(&expected))).await;
    let warning = one.warnings().join("\n");
    assert!(
        warning.contains(&format!("{} belongs to pod net/a/eth0; delete these pods", had[0])),
        "{warning}"
    );
    let range: AddressRange = range.as_str().unwrap().parse().unwrap();
    let next = one.add(&cluster, "b").await;
    assert!(!next.iter().any(|address| range.contains(*address)), "{next:?}");
    assert!(!cluster.blocks(Some("one")).contains(four));
    one.remove("a");
    until("it is over", || one.warnings().is_empty()).await;
}

#[tokio::test]
async fn blocks_of_a_pool_that_is_gone_stay_while_they_are_used() {
    let cluster = Cluster::new(&dual());
    let one = cluster.node("one").await;
    one.add(&cluster, "a").await;
    until("both", || one.blocks().len() == 2).await;
    let blocks = cluster.blocks(Some("one"));
    cluster.server.delete(POOLS, "", "four").unwrap();
    until("it is not served", || one.blocks().len() == 1).await;
    sleep(TIMING.turn * 4).await;
    assert_eq!(cluster.blocks(Some("one")), blocks);
    // Another pool of these addresses passes over what is used.
    cluster.put_pool("new", &json!({"subnet": "10.0.0.0/20", "blockSize": 1024}));
    until("another is served", || one.blocks().len() == 2).await;
    cluster.check_disjoint();
    one.remove("a");
    until("it goes", || !cluster.blocks(None).iter().any(|name| name.starts_with("four"))).await;
    // The older one holds.
    cluster.put_pool("newer", &json!({"subnet": "10.0.0.0/24"}));
    let expected = "IPPool newer: 10.0.0.1 is in pool new too; give the two pools different ranges";
    until("it is told", || one.warnings().iter().any(|it| it == expected)).await;
}

#[tokio::test]
async fn blocks_that_were_made_by_a_predecessor_are_used() {
    let cluster = Cluster::new(&dual());
    cluster.put_node("one");
    let spec = PoolSpec {
        name: "four".to_owned(),
        subnet: "10.0.0.0/20".parse().unwrap(),
        ranges: Vec::new(),
        exclude: Vec::new(),
        reserve: Vec::new(),
        gateway: None,
        default: true,
    };
    let block = Blocks::new(&spec, 16).unwrap().of("10.0.3.7".parse().unwrap()).unwrap();
    let object = types::IPBlock::of_node("four", &block, "one");
    cluster.server.put(serde_json::to_value(object).unwrap()).unwrap();
    let metadata =
        || cluster.server.get(BLOCKS, "", &block.name).unwrap().unwrap()["metadata"].clone();
    let before = metadata();
    let one = cluster.node("one").await;
    until("it is served", || one.blocks().get("four") == Some(&1)).await;
    assert!(cluster.blocks(Some("one")).contains(&block.name));
    // A deletion that the predecessor sent, and that comes only now, does nothing.
    let after = metadata();
    assert_eq!(before["uid"], after["uid"]);
    assert_ne!(before["resourceVersion"], after["resourceVersion"]);
    let addresses = one.add(&cluster, "a").await;
    assert!(block.range.contains(addresses[0]), "{addresses:?}");
}
