//! The store keeps what it is given, and one process at a time.

use ipnet::IpNet;
use netpath_common::Path as RoutePath;
use tempfile::TempDir;

use super::*;
use crate::{
    attachment::Attachment,
    endpoint::{EndpointSpec, Stage},
    ipam::{Changes, Holder},
    name::InterfaceName,
};

fn record(name: &str, slot: u32) -> Record {
    Record {
        spec: EndpointSpec {
            name: name.parse().expect("name"),
            netns: "/run/netns/a".into(),
            interface: InterfaceName::ETH0,
            parent: InterfaceName::ETH0,
            attachment: None,
            addresses: vec!["10.0.1.5/24".parse().expect("address")],
            gateways: vec!["10.0.1.1".parse().expect("gateway")],
            table: Table(7),
            mtu: None,
        },
        slot,
        link_local: Some("fe80::5".parse().expect("address")),
        stage: Stage::Ready,
        namespace: None,
        nic: None,
        attached: None,
        attachment: Attachment::Macvlan,
    }
}

fn route(prefix: &str, table: Table, path: RoutePath) -> RouteSpec {
    RouteSpec { table, prefix: prefix.parse().expect("prefix"), path, via: Vec::new() }
}

#[test]
fn survives_reopening() {
    let directory = TempDir::new().expect("directory");
    let path = directory.path().join("state");
    let kept = {
        let lock = Lock::take(&path).expect("lock");
        let store = Store::open(&lock).expect("store");
        for (name, slot) in [("b", 1), ("a", 0), ("c", 2)] {
            store.put_endpoint(&record(name, slot)).expect("put");
        }
        store.remove_endpoint("c").expect("remove");
        store.remove_endpoint("never there").expect("remove");
        store.put_endpoint(&record("b", 9)).expect("replace");
        store.put_route(&route("10.0.0.0/8", Table::MAIN, RoutePath::Drop)).expect("put");
        store.put_route(&route("10.0.0.0/8", Table(7), RoutePath::Kernel)).expect("put");
        store.put_route(&route("fd00::/8", Table::MAIN, RoutePath::Host)).expect("put");
        let prefix: IpNet = "fd00::/8".parse().expect("prefix");
        store.remove_route(Table::MAIN, prefix).expect("remove");
        (store.endpoints().expect("read"), store.routes().expect("read"))
    };
    assert_eq!(kept.0, [record("a", 0), record("b", 9)]);
    assert_eq!(kept.1.len(), 2);
    let lock = Lock::take(&path).expect("lock");
    let store = Store::open(&lock).expect("store");
    assert_eq!((store.endpoints().expect("read"), store.routes().expect("read")), kept);
}

#[test]
fn one_agent_at_a_time() {
    let directory = TempDir::new().expect("directory");
    let lock = Lock::take(directory.path()).expect("lock");
    let second = Lock::take(directory.path()).expect_err("a second agent");
    assert!(second.to_string().contains("another netpath-agent is running"), "{second}");
    drop(lock);
    Lock::take(directory.path()).expect("the first one ended");
}

#[test]
fn removal_leaves_nothing() {
    let directory = TempDir::new().expect("directory");
    let path = directory.path().join("state");
    let lock = Lock::take(&path).expect("lock");
    drop(Store::open(&lock).expect("store"));
    Store::remove(&path).expect("remove");
    assert!(!path.exists());
    Store::remove(&path).expect("again");
}

#[test]
fn a_directory_that_can_not_be_is_named() {
    let file = tempfile::NamedTempFile::new().expect("file");
    let error = Lock::take(&file.path().join("below")).expect_err("below a file");
    assert!(error.to_string().contains("can not be used"), "{error}");
}

fn allocation(address: &str) -> Allocation {
    Allocation {
        address: address.parse().expect("address"),
        pool: Some("a".to_owned()),
        holder: Holder::Cooling { until: 7 },
        claim: None,
        since: 1,
    }
}

#[test]
fn an_endpoint_and_its_addresses_are_one_change() {
    let directory = TempDir::new().expect("directory");
    let lock = Lock::take(directory.path()).expect("lock");
    let (first, second) = (allocation("10.0.0.1"), allocation("fd00::1"));
    {
        let store = Store::open(&lock).expect("store");
        let changes = Changes { put: vec![second.clone(), first.clone()], delete: Vec::new() };
        let mut changes: Vec<_> = Change::allocations(changes).collect();
        changes.push(Change::PutEndpoint(Box::new(record("a", 0))));
        store.apply(&changes).expect("written");
    }
    let store = Store::open(&lock).expect("store");
    assert_eq!(store.endpoints().expect("read"), [record("a", 0)]);
    assert_eq!(store.allocations().expect("read"), [first.clone(), second]);
    let changes = Changes { put: Vec::new(), delete: vec![first.address] };
    store.apply(&Change::allocations(changes).collect::<Vec<_>>()).expect("written");
    assert_eq!(store.allocations().expect("read").len(), 1);
}

#[test]
fn half_a_creation_is_made_anew() {
    let directory = TempDir::new().expect("directory");
    fs::write(directory.path().join(NEW_FILE), [0; 4096]).expect("what a power cut left");
    let lock = Lock::take(directory.path()).expect("lock");
    drop(Store::open(&lock).expect("store"));
    assert!(!directory.path().join(NEW_FILE).exists());
}

/// What a transaction costs, alone and in company: the disk's confirmation is most of it.
#[test]
fn transactions_may_be_grouped() {
    const PODS: u32 = 250;
    let directory = TempDir::new().expect("directory");
    let lock = Lock::take(directory.path()).expect("lock");
    let store = Store::open(&lock).expect("store");
    let pods: Vec<Vec<Change>> = (0..PODS)
        .map(|pod| {
            let address = allocation(&std::net::Ipv4Addr::from_bits(pod).to_string());
            let record = record(&format!("pod-{pod}"), pod);
            vec![Change::PutEndpoint(Box::new(record)), Change::PutAllocation(Box::new(address))]
        })
        .collect();
    for group in [1, 16] {
        let start = std::time::Instant::now();
        for pods in pods.chunks(group) {
            store.apply(&pods.concat()).expect("written");
        }
        println!("{group} pods a transaction: {:?} for each pod", start.elapsed() / PODS);
    }
    assert_eq!(store.allocations().expect("read").len(), PODS as usize);
}

#[test]
fn services_survive() {
    use crate::service::{
        ServiceSpec,
        registry::{Held, Origin},
        resolve::Resolved,
    };

    let directory = TempDir::new().expect("directory");
    let lock = Lock::take(directory.path()).expect("lock");
    let spec = |name: &str| -> ServiceSpec {
        let text = format!(
            r#"{{"name": "{name}", "cluster_ips": ["10.96.0.1"], "ports": [{{"port": 80}}]}}"#
        );
        serde_json::from_str(&text).expect("a Service")
    };
    let put = |name, origin| {
        let held = Held { spec: spec(name), origin, resolved: Resolved::default() };
        Change::PutService(std::sync::Arc::new(held))
    };
    {
        let store = Store::open(&lock).expect("store");
        let remove = Change::RemoveService(spec("a/b").name);
        let runtime = ["a/b", "a/a", "a/c"].map(|name| put(name, Origin::Runtime));
        store.apply(&runtime).expect("written");
        // One is the cluster's from now on.
        store.apply(&[remove, put("a/c", Origin::Kubernetes)]).expect("written");
    }
    let store = Store::open(&lock).expect("store");
    let Stored { runtime, cluster } = store.services().expect("read");
    assert_eq!((runtime, cluster), (vec![spec("a/a")], vec![spec("a/c")]));
}

#[test]
fn shares_of_pools_are_what_was_kept_last() {
    let directory = TempDir::new().expect("directory");
    let lock = Lock::take(directory.path()).expect("lock");
    let store = Store::open(&lock).expect("store");
    let share = |pool: &str, priority| {
        let share = Share {
            pool: pool.to_owned(),
            spec: None,
            priority,
            namespaces: None,
            pods: None,
            blocks: [(format!("{pool}-10-0-1-16"), "10.0.1.16/28".parse().expect("range"))].into(),
        };
        (share.pool.clone(), share)
    };
    let first = Shares::from([share("a", 0), share("b", 0), share("c", 0)]);
    let changes = Change::shares(&Shares::new(), &first);
    assert_eq!(changes.len(), 3);
    store.apply(&changes).expect("apply");
    assert_eq!(store.shares().expect("read"), first);
    let second = Shares::from([share("a", 0), share("b", 1)]);
    let changes = Change::shares(&first, &second);
    assert_eq!(changes.len(), 2, "a is as it was");
    store.apply(&changes).expect("apply");
    assert_eq!(store.shares().expect("read"), second);
}
