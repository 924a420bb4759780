//! Pods keep their addresses, on whichever node they are made anew.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::join_all, stream};
use netpath_agent::kube::types::Fixed;
use netpath_tests::apiserver::Faults;
use serde_json::{Value, json};

use crate::{
    cluster::{BLOCKS, Cluster, dual, faults, until},
    keeping::Keeping,
    node::Node,
};

const FIXED: &str = "fixedips.netpath.io";

/// Pods a node that keep two addresses each: over two nodes five hundred.
const KEEP: usize = 125;
const AT_ONCE: usize = 10;
/// Pods a node with two addresses of its blocks: two thousand.
const PODS: usize = 500;

/// Nodes that know the pools.
async fn nodes<const N: usize>(
    cluster: &Cluster,
    names: [&str; N],
) -> (Vec<Arc<Node>>, Vec<Arc<Keeping>>) {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(Node::new(cluster, name).await);
    }
    until("both pools", || nodes.iter().all(|node| node.blocks().len() == 2)).await;
    let keeping = nodes.iter().map(|node| Keeping::new(cluster, node)).collect();
    (nodes, keeping)
}

impl Cluster {
    fn fixed(&self, pod: &str) -> Option<Value> {
        self.server.get(FIXED, "default", pod).unwrap()
    }

    /// The blocks of fixed addresses.
    fn recorded(&self) -> BTreeMap<String, String> {
        let blocks = self.server.list(BLOCKS, None).unwrap();
        let entries = blocks.iter().filter_map(|block| block["spec"]["fixed"].as_object());
        let text =
            |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap().to_owned());
        entries.flatten().map(text).collect()
    }

    fn put_fixed(&self, pod: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": "FixedIP",
            "metadata": {"name": pod, "namespace": "default"}, "spec": spec,
        });
        self.server.put(object).unwrap();
    }
}

fn these(addresses: &[&str]) -> Fixed {
    Fixed::These(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

fn pod(node: usize, number: usize) -> String {
    format!("keep-{node}-{number}")
}

#[tokio::test]
async fn fixed_and_pooled_addresses_at_once() {
    let cluster = Cluster::new(&dual());
    let (nodes, keeping) = nodes(&cluster, ["one", "two"]).await;
    cluster.server.set_faults(faults());
    let start = Instant::now();
    let pooled = nodes.iter().map(async |node| {
        for number in 0..PODS {
            node.add(&cluster, &format!("pod-{number}")).await;
        }
    });
    let fixed = keeping.iter().enumerate().map(async |(index, node)| {
        let add = async |number| {
            if number == KEEP / 2 {
                cluster.server.disconnect_all();
                cluster.server.compact();
            }
            node.add(&pod(index, number), &Fixed::Any).await.unwrap()
        };
        // As many as a kubelet adds at once.
        stream::iter(0..KEEP).map(add).buffered(AT_ONCE).collect::<Vec<_>>().await
    });
    let (_, had) = futures::join!(join_all(pooled), join_all(fixed));
    println!("500 fixed and 2000 pooled addresses took {:?}", start.elapsed());
    assert_eq!(cluster.ledger.lock().unwrap().len(), 4 * KEEP + 4 * PODS);
    assert_eq!(cluster.recorded().len(), 4 * KEEP);
    cluster.check_disjoint();

    // Made anew, each on the other node, which waits until this one has let go.
    let moves = (0..2).flat_map(|index| (0..KEEP / 5).map(move |number| (index, number)));
    let moves = moves.map(async |(index, number): (usize, usize)| {
        let pod = pod(index, number);
        let ((), after) = futures::join!(
            async { keeping[index].remove(&pod) },
            keeping[1 - index].add(&pod, &Fixed::Any),
        );
        assert_eq!(after.unwrap(), had[index][number]);
    });
    stream::iter(moves).buffered(AT_ONCE).collect::<Vec<_>>().await;

    // Their objects go; what is held goes with its pod.
    for object in cluster.server.list(FIXED, None).unwrap() {
        cluster
            .server
            .delete(FIXED, "default", object["metadata"]["name"].as_str().unwrap())
            .unwrap();
    }
    for (index, pods) in had.iter().enumerate() {
        for number in 0..pods.len() {
            let now = if number < KEEP / 5 { 1 - index } else { index };
            keeping[now].remove(&pod(index, number));
        }
    }
    cluster.server.set_faults(Faults::default());
    until("nothing leaks", || cluster.recorded().is_empty()).await;
    until("the objects go", || cluster.server.list(FIXED, None).unwrap().is_empty()).await;
    until("nothing is held", || keeping.iter().all(|node| node.holds() == 0)).await;
    let fixed = |block: &Value| block["spec"].get("fixed").is_some();
    assert!(!cluster.server.list(BLOCKS, None).unwrap().iter().any(fixed));
}

#[tokio::test]
async fn addresses_of_a_node_that_is_gone_are_let_go() {
    let cluster = Cluster::new(&dual());
    let (_nodes, keeping) = nodes(&cluster, ["one", "two"]).await;
    let had = keeping[1].add("a", &Fixed::Any).await.unwrap();
    keeping[1].stop().await;
    // It lives as long as its object does.
    let wait = tokio::time::timeout(Duration::from_millis(600), keeping[0].add("a", &Fixed::Any));
    wait.await.unwrap_err();
    assert_eq!(cluster.fixed("a").unwrap()["status"]["node"], "two");
    cluster.ledger.lock().unwrap().clear();
    cluster.server.delete("nodes", "", "two").unwrap();
    assert_eq!(keeping[0].add("a", &Fixed::Any).await.unwrap(), had);
    // Without anybody who wants them, too.
    keeping[0].remove("a");
    until("let go", || cluster.fixed("a").unwrap()["status"].get("node").is_none()).await;
    assert!(cluster.fixed("a").unwrap()["status"]["releasedAt"].is_string());

    // Somebody says that a node is off.
    cluster.put_node("two");
    let (pod, off) = (
        "b",
        json!({"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}),
    );
    let had = keeping[0].add(pod, &Fixed::Any).await.unwrap();
    keeping[0].stop().await;
    cluster.ledger.lock().unwrap().clear();
    keeping[1].start();
    cluster
        .server
        .put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}, "spec": off}))
        .unwrap();
    assert_eq!(keeping[1].add(pod, &Fixed::Any).await.unwrap(), had);
    // It was not: what it has is withdrawn there.
    cluster.ledger.lock().unwrap().clear();
    for address in &had {
        cluster.ledger.lock().unwrap().insert(*address, "one".to_owned());
    }
    keeping[0].start();
    until("withdrawn", || keeping[0].has_lost(pod)).await;
    assert_eq!(keeping[0].holds(), 0);
    assert_eq!(cluster.fixed(pod).unwrap()["status"]["node"], "two");
}

#[tokio::test]
async fn addresses_by_hand() {
    let mut pools = dual();
    pools[0].1["reserve"] = json!(["10.0.1.0/24"]);
    let cluster = Cluster::new(&pools);
    let (nodes, keeping) = nodes(&cluster, ["one", "two"]).await;
    let wanted: [IpAddr; 2] = ["10.0.1.7", "fd00::f007"].map(|text| text.parse().unwrap());
    let fixed = these(&["fd00::f007", "10.0.1.7"]);
    assert_eq!(keeping[0].add("a", &fixed).await.unwrap(), wanted);
    // Any: what it has.
    keeping[0].remove("a");
    assert_eq!(keeping[1].add("a", &Fixed::Any).await.unwrap(), wanted);
    let recorded = cluster.recorded();
    assert_eq!(recorded.len(), 2);
    assert!(recorded["10.0.1.7"].starts_with("default/a/"), "{recorded:?}");

    let error = keeping[0].add("b", &these(&["10.0.1.7"])).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "10.0.1.7 is of FixedIP default/a; delete that one, or choose another address"
    );
    let ready = &cluster.fixed("b").unwrap()["status"]["conditions"][0];
    assert_eq!(
        (&ready["status"], &ready["reason"], &ready["message"]),
        (&json!("False"), &json!("Taken"), &json!(error))
    );
    let error = keeping[0].add("c", &these(&["10.9.0.1"])).await.unwrap_err().to_string();
    assert_eq!(error, "10.9.0.1 can be had from no IPPool that is for this node");
    let had = nodes[0].add(&cluster, "x").await;
    let error = keeping[0].add("d", &these(&[&had[0].to_string()])).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} is of block four-10-0-", had[0])), "{error}");
    assert!(
        error.contains("which node one hands out; choose an address that IPPool four reserves"),
        "{error}"
    );
    cluster.put_fixed("e", &json!({"addresses": ["10.0.1.9"]}));
    let error = keeping[0].add("e", &these(&["10.0.1.8"])).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "FixedIP default/e has 10.0.1.9, not 10.0.1.8; delete it, or ask for what it has"
    );
    assert_eq!(
        keeping[0].add("e", &Fixed::Any).await.unwrap(),
        ["10.0.1.9".parse::<IpAddr>().unwrap()]
    );
}

#[tokio::test]
async fn addresses_are_kept_for_a_time() {
    let cluster = Cluster::new(&dual());
    let (_nodes, keeping) = nodes(&cluster, ["one", "two"]).await;
    cluster.put_fixed("a", &json!({"ttlSeconds": 1}));
    cluster.put_fixed("b", &json!({"pool": "four"}));
    keeping[0].add("a", &Fixed::Any).await.unwrap();
    assert_eq!(keeping[0].add("b", &Fixed::Any).await.unwrap().len(), 1);
    keeping[0].remove("a");
    keeping[0].remove("b");
    until("a goes", || cluster.fixed("a").is_none()).await;
    assert_eq!(cluster.recorded().len(), 1);
    assert_eq!(cluster.fixed("b").unwrap()["status"].get("node"), None);
    // By force: the address goes back all the same.
    let mut object = cluster.fixed("b").unwrap();
    object["metadata"]["finalizers"] = json!([]);
    cluster.server.put(object).unwrap();
    cluster.server.delete(FIXED, "default", "b").unwrap();
    until("its address goes back", || cluster.recorded().is_empty()).await;

    // While a pod has it: it is taken again, for another object.
    let had = keeping[0].add("c", &Fixed::Any).await.unwrap();
    let mut object = cluster.fixed("c").unwrap();
    object["metadata"]["finalizers"] = json!([]);
    cluster.server.put(object).unwrap();
    cluster.server.delete(FIXED, "default", "c").unwrap();
    until("it is taken again", || {
        cluster.fixed("c").is_some_and(|it| it["status"]["node"] == "one")
    })
    .await;
    let uid = cluster.fixed("c").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    until("it is recorded", || {
        let recorded = cluster.recorded();
        let entry = |address: &IpAddr| recorded.get(&address.to_string());
        had.iter().all(|address| entry(address).is_some_and(|entry| entry.ends_with(&uid)))
    })
    .await;
}

#[tokio::test]
async fn the_api_server_is_away() {
    let cluster = Cluster::new(&dual());
    let (_nodes, keeping) = nodes(&cluster, ["one", "two"]).await;
    let had = keeping[0].add("a", &Fixed::Any).await.unwrap();
    cluster.server.go_down().unwrap();
    // What the node has it has, for a pod that is made anew there, and by an agent that starts now.
    keeping[0].detach("a");
    assert_eq!(keeping[0].add("a", &Fixed::Any).await.unwrap(), had);
    // Once it has asked to let go, it does not know.
    keeping[0].remove("a");
    until("it asks", || keeping[0].is_leaving("a")).await;
    let again = tokio::time::timeout(Duration::from_millis(300), keeping[0].add("a", &Fixed::Any));
    again.await.unwrap_err();
    keeping[0].stop().await;
    keeping[0].start();
    cluster.server.come_up().unwrap();
    assert_eq!(keeping[0].add("a", &Fixed::Any).await.unwrap(), had);
}
