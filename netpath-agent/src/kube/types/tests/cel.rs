//! The rules that the API server checks, each with what it lets pass and what not.

use kube_cel::Validator;
use serde_json::{Value, json};

use super::super::all;

/// What the API server would say to an object of a kind, and to one that replaces another.
fn judge(kind: &str, spec: &Value, old: Option<&Value>) -> Vec<String> {
    judge_named(kind, "x", spec, old)
}

fn judge_named(kind: &str, name: &str, spec: &Value, old: Option<&Value>) -> Vec<String> {
    let crds = all();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).expect(kind);
    let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("JSON");
    let object = |spec: &Value| json!({"metadata": {"name": name}, "spec": spec});
    let old = old.map(object);
    Validator::new()
        .validate(&schema["openAPIV3Schema"], &object(spec), old.as_ref())
        .err()
        .into_iter()
        .flat_map(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
        .collect()
}

fn passes(kind: &str, spec: &Value, old: Option<&Value>) {
    let found = judge(kind, spec, old);
    assert!(found.is_empty(), "{kind} {spec}: {found:?}");
}

fn fails(kind: &str, spec: &Value, old: Option<&Value>, expected: &str) {
    let found = judge(kind, spec, old);
    let [only] = &found[..] else { panic!("{kind} {spec}: expected {expected}, found {found:?}") };
    assert!(only.contains(expected), "{only}");
}

#[test]
fn pools_have_one_family_and_stay() {
    let pool = |subnet: &str, more: Value| {
        let mut spec = json!({"subnet": subnet, "blockSize": 16, "default": true, "priority": 0});
        let object = spec.as_object_mut().expect("object");
        object.extend(more.as_object().expect("object").clone());
        spec
    };
    let v4 = pool("10.0.1.0/24", json!({}));
    passes("IPPool", &v4, None);
    let full = json!({"gateway": "10.0.1.1", "ranges": ["10.0.1.8/29"], "reserve": ["10.0.1.7"]});
    passes("IPPool", &pool("10.0.1.0/24", full), Some(&v4));
    passes(
        "IPPool",
        &pool("fd00::/64", json!({"gateway": "fe80::1", "exclude": ["fd00::1"]})),
        None,
    );
    let gateway = pool("10.0.1.0/24", json!({"gateway": "fe80::1"}));
    fails("IPPool", &gateway, None, "gateway must be of the family of subnet");
    for field in ["ranges", "exclude", "reserve"] {
        let spec = pool("10.0.1.0/24", json!({field: ["10.0.1.7", "fd00::1"]}));
        fails("IPPool", &spec, None, "must be of the family of subnet: all IPv4 or all IPv6");
    }
    let other = pool("10.0.2.0/24", json!({}));
    fails("IPPool", &other, Some(&v4), "subnet can not be changed");
    let larger = pool("10.0.1.0/24", json!({"blockSize": 32}));
    fails("IPPool", &larger, Some(&v4), "blockSize can not be changed");
    assert!(judge_named("IPPool", &"a".repeat(63), &v4, None).is_empty());
    let found = judge_named("IPPool", &"a".repeat(64), &v4, None);
    assert!(found[0].contains("at most 63 characters"), "{found:?}");
}

#[test]
fn blocks_have_a_node_or_fixed_addresses() {
    let block = |more: Value| {
        let mut spec = json!({"pool": "pods", "range": "10.0.1.16-10.0.1.31"});
        spec.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        spec
    };
    let node = block(json!({"node": "a"}));
    passes("IPBlock", &node, None);
    passes(
        "IPBlock",
        &block(json!({"node": "a", "orphanedSince": "2026-01-01T00:00:00Z"})),
        Some(&node),
    );
    passes("IPBlock", &block(json!({"fixed": {"10.0.1.16": "default/db-0"}})), None);
    passes("IPBlock", &block(json!({"fixed": {}})), None);
    fails("IPBlock", &block(json!({})), None, "set one of node and fixed");
    fails("IPBlock", &block(json!({"node": "a", "fixed": {}})), None, "set one of node and fixed");
    let orphan = block(json!({"fixed": {}, "orphanedSince": "2026-01-01T00:00:00Z"}));
    fails("IPBlock", &orphan, None, "only a block with a node can be orphaned");
    for (field, expected) in [("pool", "pool can not be changed"), ("range", "range can not")] {
        fails("IPBlock", &block(json!({"node": "a", field: "other"})), Some(&node), expected);
    }
}

#[test]
fn fixed_addresses_are_set_once() {
    let (none, one) = (json!({}), json!({"addresses": ["10.0.1.100"]}));
    let both = json!({"addresses": ["10.0.1.100", "fd00:1::100"]});
    for spec in [&none, &one, &both] {
        passes("FixedIP", spec, None);
        passes("FixedIP", spec, Some(&none));
        passes("FixedIP", spec, Some(spec));
    }
    passes("FixedIP", &one, Some(&json!({"addresses": []})));
    passes("FixedIP", &json!({"addresses": ["10.0.1.100"], "ttlSeconds": 60}), Some(&one));
    let stays = "addresses can not be changed once they are set";
    fails("FixedIP", &none, Some(&one), stays);
    fails("FixedIP", &both, Some(&one), stays);
    fails("FixedIP", &json!({"addresses": ["10.0.1.101"]}), Some(&one), stays);
    for list in [["10.0.1.100", "10.0.1.101"], ["fd00:1::1", "fd00:1::2"]] {
        fails("FixedIP", &json!({"addresses": list}), None, "addresses has two of one family");
    }
    let (pool, other) = (json!({"pool": "a"}), json!({"pool": "b"}));
    passes("FixedIP", &pool, Some(&pool));
    for (new, old) in [(&other, &pool), (&none, &pool), (&pool, &none)] {
        fails("FixedIP", new, Some(old), "pool can not be changed");
    }
}

#[test]
fn networks_have_tables_and_routes_that_make_sense() {
    passes("Network", &json!({}), None);
    for table in [json!("main"), json!("100"), json!("4294967295"), json!(1), json!(u32::MAX)] {
        passes("Network", &json!({"table": table}), None);
    }
    for table in [json!("default"), json!("0"), json!(0), json!(-1), json!(10_000_000_000_u64)] {
        fails("Network", &json!({"table": table}), None, "table must be main or a number");
    }
    let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "fd00::/8", "via": "fe80::1"}]);
    passes("Network", &json!({"routes": routes}), None);
    let routes = json!({"routes": [{"dst": "10.0.0.0/8", "via": "fe80::1"}]});
    fails("Network", &routes, None, "via must be of the family of dst");
}
