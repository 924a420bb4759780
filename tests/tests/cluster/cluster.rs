//! A cluster without nodes.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kube::{Client, Config};
use netpath_agent::{
    ipam::AddressRange,
    kube::{keeper::Timing, types},
};
use netpath_tests::apiserver::{ApiServer, Faults, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

/// The longest that a condition may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) const BLOCKS: &str = "ipblocks.netpath.io";
pub(crate) const POOLS: &str = "ippools.netpath.io";

pub(crate) const TIMING: Timing = Timing {
    turn: Duration::from_millis(50),
    pause: Duration::from_millis(5),
    full: Duration::from_millis(100),
    lag: Duration::from_millis(100),
    collect: Duration::from_millis(100),
    grace: Duration::from_millis(400),
};

/// A cluster whose API server knows the kinds of netpath.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    /// Who has an address, over all nodes.
    pub(crate) ledger: Arc<Mutex<HashMap<IpAddr, String>>>,
}

impl Cluster {
    pub(crate) fn new(pools: &[(&str, Value)]) -> Self {
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

    pub(crate) fn put_pool(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        for (field, default) in [("default", json!(true)), ("priority", json!(0))] {
            if spec.get(field).is_none() {
                spec[field] = default;
            }
        }
        self.put("IPPool", name, &spec);
    }

    pub(crate) fn put_block(&self, name: &str, range: &str, node: &str) {
        let spec = json!({"pool": name.split('-').next(), "range": range, "node": node});
        self.put("IPBlock", name, &spec);
    }

    pub(crate) fn put(&self, kind: &str, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        });
        self.server.put(object).unwrap();
    }

    pub(crate) fn put_node(&self, name: &str) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.server.put(node).unwrap();
    }

    /// The names of a node's blocks, or of everybody's.
    pub(crate) fn blocks(&self, node: Option<&str>) -> BTreeSet<String> {
        let all = self.server.list(BLOCKS, None).unwrap();
        let of_node = all.iter().filter(|it| node.is_none_or(|node| it["spec"]["node"] == node));
        of_node.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// No two blocks have an address in common.
    pub(crate) fn check_disjoint(&self) {
        let ranges = self.server.list(BLOCKS, None).unwrap();
        let ranges: Vec<AddressRange> = ranges
            .iter()
            .map(|it| it["spec"]["range"].as_str().unwrap().parse().unwrap())
            .collect();
        for (index, range) in ranges.iter().enumerate() {
            assert!(ranges[..index].iter().all(|other| !other.meets(*range)), "{range}");
        }
    }
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn dual() -> [(&'static str, Value); 2] {
    [
        ("four", json!({"subnet": "10.0.0.0/20", "blockSize": 16, "gateway": "10.0.0.1"})),
        ("six", json!({"subnet": "fd00::/64", "blockSize": 32, "gateway": "fe80::1"})),
    ]
}

pub(crate) fn faults() -> Faults {
    Faults {
        latency: Duration::ZERO..=Duration::from_millis(5),
        conflict: 0.1,
        cut_before: 0.05,
        cut_after: 0.1,
        throttled: 0.02,
        failed: 0.05,
    }
}

pub(crate) fn client(server: &ApiServer) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}
