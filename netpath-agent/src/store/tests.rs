//! The store keeps what it is given, and one process at a time.

use ipnet::IpNet;
use netpath_common::Path as RoutePath;
use tempfile::TempDir;

use super::*;
use crate::{endpoint::EndpointSpec, name::InterfaceName};

fn record(name: &str, slot: u32) -> Record {
    Record {
        spec: EndpointSpec {
            name: name.parse().expect("name"),
            netns: "/run/netns/a".into(),
            interface: InterfaceName::ETH0,
            parent: InterfaceName::ETH0,
            addresses: vec!["10.0.1.5/24".parse().expect("address")],
            gateways: vec!["10.0.1.1".parse().expect("gateway")],
            table: Table(7),
            mtu: None,
        },
        slot,
        link_local: Some("fe80::5".parse().expect("address")),
        namespace: 0,
    }
}

fn route(prefix: &str, table: Table, path: RoutePath) -> RouteSpec {
    RouteSpec { table, prefix: prefix.parse().expect("prefix"), path, via: None }
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
