//! Nodes take blocks of pools, and give them back.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use netpath_agent::{
    ipam::{AddressRange, Blocks, PoolSpec},
    kube::types,
};
use netpath_tests::apiserver::Faults;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    cluster::{BLOCKS, Cluster, POOLS, TIMING, dual, faults, until},
    node::Node,
};

/// Pods a node: two addresses each, over four nodes two thousand.
const PODS: usize = 250;

#[tokio::test]
async fn no_address_is_ever_had_by_two_nodes() {
    let cluster = Cluster::new(&dual());
    let mut nodes = Vec::new();
    for name in ["one", "two", "three", "four"] {
        nodes.push(Node::new(&cluster, name).await);
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
        nodes.push(Node::new(&cluster, name).await);
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
    let one = Node::new(&cluster, "one").await;
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
    let (one, _two) = (Node::new(&cluster, "one").await, Node::new(&cluster, "two").await);
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
    let (one, _two) = (Node::new(&cluster, "one").await, Node::new(&cluster, "two").await);
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
    let one = Node::new(&cluster, "one").await;
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
    let one = Node::new(&cluster, "one").await;
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
    let one = Node::new(&cluster, "one").await;
    until("it is served", || one.blocks().get("four") == Some(&1)).await;
    assert!(cluster.blocks(Some("one")).contains(&block.name));
    // A deletion that the predecessor sent, and that comes only now, does nothing.
    let after = metadata();
    assert_eq!(before["uid"], after["uid"]);
    assert_ne!(before["resourceVersion"], after["resourceVersion"]);
    let addresses = one.add(&cluster, "a").await;
    assert!(block.range.contains(addresses[0]), "{addresses:?}");
}
