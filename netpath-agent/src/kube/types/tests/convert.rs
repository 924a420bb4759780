//! Objects and annotations, as what the agent makes of them.

use std::collections::BTreeMap;

use kube::core::SelectorExt as _;
use serde_json::{Value, json};

use super::super::*;
use crate::{attachment::Attachment, pod::Bandwidth, route::Table};

fn pool(name: &str, spec: Value) -> Result<Pool, String> {
    let pool = IPPool::new(name, serde_json::from_value(spec).expect("spec"));
    Pool::try_from(&pool).map_err(|error| error.to_string())
}

fn network(spec: Value) -> Result<Wiring, String> {
    let network = Network::new("underlay", serde_json::from_value(spec).expect("spec"));
    Wiring::try_from(&network).map_err(|error| error.to_string())
}

fn wishes(pairs: &[(&str, &str)]) -> Result<Wishes, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let annotations: BTreeMap<_, _> = pairs.iter().map(own).collect();
    Wishes::read(&annotations).map_err(|error| error.to_string())
}

#[test]
fn a_pool_is_what_ipam_knows() {
    let plain = pool("pods4", json!({"subnet": "10.0.1.0/24"})).expect("valid");
    assert!(plain.spec.default);
    assert_eq!((plain.priority, plain.blocks.count()), (0, 16));
    assert!(plain.nodes.matches(&BTreeMap::new()));
    let full = json!({
        "subnet": "10.0.1.0/24",
        "ranges": ["10.0.1.64/26", "10.0.1.10-10.0.1.20"],
        "exclude": ["10.0.1.70"],
        "reserve": ["10.0.1.200"],
        "gateway": "10.0.1.1",
        "default": false,
        "blockSize": 64,
        "priority": -1,
        "nodeSelector": {"matchLabels": {"zone": "a"}},
    });
    let full = pool("pods4", full).expect("valid");
    let toml = "
        name = \"pods4\"
        subnet = \"10.0.1.0/24\"
        ranges = [\"10.0.1.64/26\", \"10.0.1.10-10.0.1.20\"]
        exclude = [\"10.0.1.70\"]
        reserve = [\"10.0.1.200\"]
        gateway = \"10.0.1.1\"
        default = false
    ";
    assert_eq!(full.spec, toml::from_str(toml).expect("as in the configuration"));
    assert_eq!((full.priority, full.blocks.count()), (-1, 2));
    assert!(!full.nodes.matches(&BTreeMap::new()));
    assert!(full.pods.matches(&BTreeMap::new()));
}

#[test]
fn what_is_wrong_with_a_pool_is_told() {
    for (name, more, expected) in [
        ("p", json!({"subnet": "10.0.1.1/24"}), "spec.subnet: 10.0.1.1/24 has bits set behind"),
        ("p", json!({"subnet": "10.0.1.0"}), "spec.subnet: \"10.0.1.0\" is not valid; expected a"),
        ("p", json!({"gateway": "x"}), "spec.gateway: \"x\" is not valid; expected an address"),
        ("p", json!({"gateway": "10.0.2.1"}), "spec.gateway: 10.0.2.1 can not be the router of"),
        ("p", json!({"ranges": ["10.0.1.9", "a"]}), "spec.ranges[1]: \"a\" is no range of"),
        ("p", json!({"exclude": ["10.0.2.9"]}), "spec.exclude[0]: 10.0.2.9 is not inside"),
        (
            "p",
            json!({"reserve": ["10.0.1.9-10.0.1.8"]}),
            "spec.reserve[0]: \"10.0.1.9-10.0.1.8\" ends",
        ),
        ("p", json!({"exclude": ["10.0.1.0/24"]}), "spec.ranges: no address is left to hand out"),
        ("p", json!({"blockSize": 24}), "spec.blockSize: 24 is no size of a block; write a power"),
        ("", json!({}), "metadata.name: \"\" is no pool name"),
        (
            "p",
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.podSelector.matchExpressions[0]: operator In with 0 values",
        ),
    ] {
        let mut spec = json!({"subnet": "10.0.1.0/24"});
        spec.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        let error = pool(name, spec).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn blocks_say_whose_they_are() {
    let pool = pool("pods4", json!({"subnet": "10.0.1.0/24"})).expect("valid");
    let block = pool.blocks.for_nodes().nth(1).expect("block");
    let object = IPBlock::of_node("pods4", &block, "node-a");
    assert_eq!(
        serde_json::to_value(&object).expect("JSON"),
        json!({
            "apiVersion": "netpath.io/v1alpha1",
            "kind": "IPBlock",
            "metadata": {
                "name": "pods4-10-0-1-16",
                "labels": {"netpath.io/node": "node-a", "netpath.io/pool": "pods4"},
            },
            "spec": {"pool": "pods4", "range": "10.0.1.16-10.0.1.31", "node": "node-a"},
        })
    );
    assert_eq!(object.range(), Ok(block.range));
    let address = "10.0.1.20".parse().expect("address");
    let object = IPBlock::of_fixed("pods4", &block, address, "default/db-0/u-1");
    assert_eq!(
        serde_json::to_value(&object.spec).expect("JSON"),
        json!({
            "pool": "pods4", "range": "10.0.1.16-10.0.1.31",
            "fixed": {"10.0.1.20": "default/db-0/u-1"},
        })
    );
    assert_eq!(object.metadata.labels.expect("labels")["netpath.io/fixed"], "true");
}

#[test]
fn fixed_addresses_are_one_a_family() {
    let fixed = |list: &[&str]| {
        let spec = json!({ "addresses": list });
        let object = FixedIP::new("db-0", serde_json::from_value(spec).expect("spec"));
        object.addresses().map_err(|error| error.to_string())
    };
    assert_eq!(fixed(&[]), Ok(vec![]));
    assert_eq!(fixed(&["fd00::1", "10.0.1.5"]).map(|list| list.len()), Ok(2));
    let error = fixed(&["10.0.1.5", "10.0.1.6"]).expect_err("two");
    assert!(error.starts_with("spec.addresses[1]: 10.0.1.6 is the second address"), "{error}");
    let error = fixed(&["10.0.1.5/24"]).expect_err("no address");
    assert!(error.starts_with("spec.addresses[0]: \"10.0.1.5/24\" is not valid"), "{error}");
}

#[test]
fn a_network_is_what_pods_need() {
    let plain = network(json!({})).expect("valid");
    assert_eq!((plain.attachment, plain.table, plain.default), (None, Table::MAIN, false));
    let full = network(json!({
        "attachment": "policy-route",
        "parents": ["eth1", "bond0.100"],
        "table": 100,
        "mtu": 9000,
        "pools": ["pods4", "pods6"],
        "defaultRoute": true,
        "routes": [{"dst": "10.96.0.0/12", "via": "10.0.1.254", "priority": 5}],
    }));
    let full = full.expect("valid");
    assert_eq!(full.attachment, Some(Attachment::PolicyRoute));
    assert_eq!((full.table, full.mtu, full.default_route), (Table(100), Some(9000), Some(true)));
    assert_eq!(full.parents[1].as_str(), "bond0.100");
    assert_eq!(full.pools, ["pods4", "pods6"]);
    assert_eq!(full.routes[0].destination.to_string(), "10.96.0.0/12");
    assert_eq!(full.routes[0].priority, Some(5));
    for largest in [json!("4294967295"), json!(u32::MAX)] {
        assert_eq!(network(json!({ "table": largest })).expect("valid").table, Table(u32::MAX));
    }
}

#[test]
fn what_is_wrong_with_a_network_is_told() {
    for (spec, expected) in [
        (
            json!({"attachment": "bridge"}),
            "spec.attachment: \"bridge\" is not valid; expected one of ipvlan-l2, ",
        ),
        (json!({"parents": ["eth0", "a/b"]}), "spec.parents[1]: interface name \"a/b\" is not one"),
        (json!({"table": "local"}), "spec.table: \"local\" is no route table; write main or"),
        (json!({"table": 0}), "spec.table: \"0\" is no route table"),
        (json!({"mtu": 67}), "spec.mtu: \"67\" is not valid; expected 68 to 65535 bytes"),
        (json!({"pools": ["Pods"]}), "spec.pools[0]: \"Pods\" is not valid; expected the name of"),
        (json!({"routes": [{"dst": "10.0.0.1/8"}]}), "spec.routes[0].dst: 10.0.0.1/8 has bits set"),
        (json!({"routes": [{"dst": "10.0.0.0"}]}), "spec.routes[0].dst: \"10.0.0.0\" is not valid"),
        (
            json!({"routes": [{"dst": "10.0.0.0/8", "via": "fe80::1"}]}),
            "spec.routes[0].via: fe80::1 is not of the family of 10.0.0.0/8",
        ),
    ] {
        let error = network(spec).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn annotations_are_wishes() {
    assert_eq!(wishes(&[("other/annotation", "x")]), Ok(Wishes::default()));
    let all = wishes(&[
        ("netpath.io/network", "storage"),
        ("netpath.io/pools", "pods4, pods6"),
        ("netpath.io/fixed", "10.0.1.100, fd00:1::100"),
        ("netpath.io/routes", r#"[{"dst": "10.96.0.0/12", "via": "10.0.1.254"}, {"dst": "::/0"}]"#),
        ("kubernetes.io/ingress-bandwidth", "10M"),
    ]);
    let all = all.expect("valid");
    assert_eq!(all.network.as_deref(), Some("storage"));
    assert_eq!(all.pools, ["pods4", "pods6"]);
    let addresses = ["10.0.1.100", "fd00:1::100"].map(|text| text.parse().expect("address"));
    assert_eq!(all.fixed, Fixed::These(addresses.into()));
    assert_eq!(all.routes.len(), 2);
    let limit = Bandwidth { ingress_rate: Some(10_000_000), ..Bandwidth::default() };
    assert_eq!(all.bandwidth, Some(limit));
    for (text, expected) in [("true", Fixed::Any), ("false", Fixed::No)] {
        assert_eq!(wishes(&[("netpath.io/fixed", text)]).expect(text).fixed, expected);
    }
}

#[test]
fn what_is_wrong_with_an_annotation_is_told() {
    for (name, value, expected) in [
        ("netpath.io/network", "A b", ": \"A b\" is not valid; expected the name of a Network"),
        ("netpath.io/pools", "", ": \"\" is not valid; expected the name of an IPPool"),
        ("netpath.io/pools", "a,,b", ": \"\" is not valid; expected the name of an IPPool"),
        ("netpath.io/fixed", "yes", ": \"yes\" is not valid; expected true, false or addresses"),
        ("netpath.io/fixed", "10.0.1.1,10.0.1.2", ": 10.0.1.2 is the second address of its family"),
        ("netpath.io/routes", "10.0.0.0/8", ": "),
        ("netpath.io/routes", r#"[{"dst": 1}]"#, ": [0].dst: invalid type: integer `1`"),
        ("netpath.io/routes", r#"[{"dst": "::/0", "gw": ""}]"#, ": [0].gw: unknown field `gw`"),
        ("netpath.io/routes", r#"[{"dst": "::/0"}, {"dst": "x"}]"#, "[1].dst: \"x\" is not valid"),
        (
            "kubernetes.io/ingress-bandwidth",
            "fast",
            ": \"fast\" is not valid; expected bits a second",
        ),
        (
            "kubernetes.io/egress-bandwidth",
            "1",
            ": \"1\" is not valid; expected bits a second from 1k",
        ),
    ] {
        let error = wishes(&[(name, value)]).expect_err(value);
        let expected = format!("annotation {name}{expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}
