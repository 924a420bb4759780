//! Which pools are for a node, and which of two that do not go together holds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::*;

fn pool(name: &str, created: &str, spec: &serde_json::Value) -> Arc<IPPool> {
    let object = json!({
        "apiVersion": "netpath.io/v1alpha1", "kind": "IPPool",
        "metadata": {"name": name, "creationTimestamp": created}, "spec": spec,
    });
    Arc::new(serde_json::from_value(object).expect("pool"))
}

fn file(name: &str, subnet: &str) -> PoolSpec {
    toml::from_str(&format!("name = \"{name}\"\nsubnet = \"{subnet}\"")).expect("pool")
}

fn share(name: &str, subnet: &str, priority: i32) -> (String, Share) {
    let share = Share {
        pool: name.to_owned(),
        spec: Some(file(name, subnet)),
        priority,
        namespaces: None,
        pods: None,
        blocks: BTreeMap::new(),
    };
    (name.to_owned(), share)
}

#[test]
fn the_older_pool_holds_and_the_file_before_all() {
    let (old, new) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let pools = [
        pool("b", new, &json!({"subnet": "10.0.0.0/24"})),
        pool("c", old, &json!({"subnet": "10.0.0.0/25"})),
        pool("a", new, &json!({"subnet": "10.0.0.128/25"})),
        pool("mine", old, &json!({"subnet": "10.9.0.0/24"})),
        pool("inside", old, &json!({"subnet": "10.8.0.0/28"})),
        pool("odd", old, &json!({"subnet": "10.7.0.1/24"})),
        pool(
            "zone",
            old,
            &json!({
                "subnet": "10.6.0.0/24", "nodeSelector": {"matchLabels": {"zone": "a"}},
            }),
        ),
        pool("other", new, &json!({"subnet": "10.6.0.0/28"})),
    ];
    let file = [file("mine", "10.1.0.0/24"), file("x", "10.8.0.0/24")];
    for zone in ["a", "b"] {
        let mut view = View::default();
        let labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
        view.arrange(&pools, &file, &labels);
        let good: Vec<_> = view.pools.keys().map(String::as_str).collect();
        assert_eq!(good, if zone == "a" { &["a", "c", "zone"][..] } else { &["a", "c"] });
        let bad: Vec<_> = view.bad.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        let expected = [
            "b: 10.0.0.1 is in pool c too; give the two pools different ranges",
            "inside: 10.8.0.1 is in pool x too; give the two pools different ranges",
            "mine: there is another pool \"mine\"; choose another name",
            "odd: spec.subnet: 10.7.0.1/24 has bits set behind its length; write 10.7.0.0/24",
            "other: 10.6.0.1 is in pool zone too; give the two pools different ranges",
        ];
        assert_eq!(bad, expected);
    }
}

#[test]
fn pools_of_the_cluster_come_behind_those_of_the_file() {
    let mut shares = Shares::from([
        share("low", "10.1.0.0/24", -1),
        share("z", "10.2.0.0/24", 5),
        share("y", "10.3.0.0/24", 5),
        share("mine", "10.4.0.0/24", 9),
        share("gone", "10.5.0.0/24", 9),
    ]);
    shares.get_mut("gone").expect("there").spec = None;
    let some = json!({"matchLabels": {"team": "a"}});
    shares.get_mut("y").expect("there").pods = serde_json::from_value(some).expect("selector");
    shares.get_mut("z").expect("there").namespaces = Some(LabelSelector::default());
    let (pools, warnings) = merge(&[file("mine", "10.0.0.0/24")], &shares);
    let pools: Vec<_> = pools.iter().map(|pool| (pool.name.as_str(), pool.default)).collect();
    assert_eq!(pools, [("mine", true), ("y", false), ("z", true), ("low", true)]);
    let expected =
        "IPPool mine is not used here: there is another pool \"mine\"; choose another name";
    assert_eq!(warnings, [expected]);
    let stored = serde_json::to_vec(&shares).expect("JSON");
    assert_eq!(serde_json::from_slice::<Shares>(&stored).expect("shares"), shares);
}
