//! Pools and networks say whether they can be used, whichever agent writes it.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use netpath_agent::{
    ipam::{AddressRange, Allocation, Usage},
    kube::{
        keeper::{Keeper, Place, Timing},
        pools::Shares,
        report::Publisher,
    },
};
use netpath_tests::apiserver::{ApiServer, Faults};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{BLOCKS, NETWORKS, POOLS, client, faults, put, put_node, ready, server, status, until};

/// How long agents wait for each other, at most.
const SPREAD: Duration = Duration::from_millis(300);

/// An agent that only tells; nobody counts blocks.
fn publish(server: &ApiServer) {
    tokio::spawn(Publisher::new(client(server), watch::channel(<_>::default()).1, SPREAD).run());
}

fn put_pool(server: &ApiServer, name: &str, subnet: &str) {
    let spec = json!({"subnet": subnet, "blockSize": 16, "default": true, "priority": 0});
    put(server, POOLS, "IPPool", name, &spec);
}

fn put_block(server: &ApiServer, pool: &str, number: usize) {
    let spec =
        json!({"pool": pool, "range": format!("10.0.{number}.0-10.0.{number}.15"), "node": "x"});
    let object = json!({
        "apiVersion": "netpath.io/v1alpha1", "kind": "IPBlock", "spec": spec,
        "metadata": {
            "name": format!("{pool}-10-0-{number}-0"), "labels": {"netpath.io/pool": pool},
        },
    });
    server.put(object).unwrap();
}

fn is(server: &ApiServer, resource: &str, name: &str, expected: &str) -> bool {
    ready(&status(server, resource, name)).starts_with(expected)
}

fn writes(server: &ApiServer, resource: &str) -> u64 {
    server.requests("update", &format!("{resource}/status"))
}

#[tokio::test]
async fn a_pool_says_whether_it_is_used() {
    let server = server();
    put_pool(&server, "good", "10.0.0.0/20");
    for number in 0..3 {
        put_block(&server, "good", number);
        put_block(&server, "other", number + 100);
    }
    publish(&server);
    let now = |name| status(&server, POOLS, name);
    until("the good one", || is(&server, POOLS, "good", "True Valid: addresses can be")).await;
    let mut good = now("good");
    good["conditions"][0]["lastTransitionTime"].take();
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Valid", "observedGeneration": 1,
        "message": "addresses can be handed out", "lastTransitionTime": null,
    });
    let expected = json!({
        "conditions": [condition], "blocks": 3, "size": "4094", "observedGeneration": 1,
    });
    assert_eq!(good, expected);

    put_pool(&server, "bad", "10.1.0.1/24");
    let expected = "False Invalid: spec.subnet: 10.1.0.1/24 has bits set behind its length; write";
    until("the bad one", || is(&server, POOLS, "bad", expected)).await;
    assert_eq!(now("bad")["size"], Value::Null);
    put_pool(&server, "bad", "10.1.0.0/24");
    until("it is mended", || is(&server, POOLS, "bad", "True Valid")).await;
    let mended = now("bad");
    assert_eq!((&mended["size"], &mended["observedGeneration"]), (&json!("254"), &json!(2)));

    // Another one of the same name and spec.
    server.delete(POOLS, "", "good").unwrap();
    put_pool(&server, "good", "10.0.0.0/20");
    until("the new one", || is(&server, POOLS, "good", "True Valid")).await;

    // What does not concern them is not written.
    let before = writes(&server, POOLS);
    put_pool(&server, "third", "10.2.0.0/24");
    until("the third", || is(&server, POOLS, "third", "True")).await;
    assert_eq!(writes(&server, POOLS), before + 1);
}

#[tokio::test]
async fn of_two_pools_with_an_address_in_common_the_younger_one_is_not_ready() {
    let server = server();
    put_pool(&server, "old", "10.0.0.0/24");
    publish(&server);
    until("the old one", || is(&server, POOLS, "old", "True")).await;
    // Times are whole seconds, and then names decide.
    put_pool(&server, "younger", "10.0.0.128/25");
    let expected = "False Overlap: 10.0.0.129 is in pool old too; give the two pools different";
    until("the younger one", || is(&server, POOLS, "younger", expected)).await;
    assert_eq!(status(&server, POOLS, "younger")["size"], "126");
    server.delete(POOLS, "", "old").unwrap();
    until("it is alone", || is(&server, POOLS, "younger", "True")).await;
}

#[tokio::test]
async fn a_network_says_whether_it_can_be_used() {
    let server = server();
    publish(&server);
    put(&server, NETWORKS, "Network", "a", &json!({"pools": ["Pods"], "default": false}));
    until("the bad one", || is(&server, NETWORKS, "a", "False Invalid: spec.pools[0]: ")).await;
    put(&server, NETWORKS, "Network", "a", &json!({"pools": ["pods"], "default": false}));
    until("it is mended", || is(&server, NETWORKS, "a", "True Valid: pods can be attached")).await;
    assert_eq!(status(&server, NETWORKS, "a")["observedGeneration"], 2);
}

#[tokio::test]
async fn many_agents_write_about_once() {
    const COUNT: u8 = 20;
    let server = server();
    for _ in 0..3 {
        publish(&server);
    }
    until("they watch", || server.open_watches() == 6).await;
    for number in 0..COUNT {
        let name = format!("pool-{number}");
        put_pool(&server, &name, &format!("10.{number}.0.0/24"));
        until("it is told", || is(&server, POOLS, &name, "True")).await;
    }
    let writes = writes(&server, POOLS);
    println!("3 agents: {writes} writes of {COUNT} pools");
    // Two that write at the same time are one too many.
    assert!(writes < 2 * u64::from(COUNT), "{writes}");
}

#[tokio::test]
async fn what_others_word_differently_stays() {
    let server = server();
    publish(&server);
    put_pool(&server, "a", "10.0.0.0/24");
    until("it is told", || is(&server, POOLS, "a", "True")).await;
    let mut object = server.get(POOLS, "", "a").unwrap().unwrap();
    object["status"]["conditions"][0]["message"] = json!("as another version says it");
    server.put(object).unwrap();
    put_pool(&server, "b", "10.1.0.0/24");
    until("the next is told", || is(&server, POOLS, "b", "True")).await;
    assert!(is(&server, POOLS, "a", "True Valid: as another version says it"));
    assert_eq!(writes(&server, POOLS), 2);
}

#[tokio::test]
async fn it_is_told_when_the_api_server_comes_back() {
    let server = server();
    server.set_faults(faults());
    publish(&server);
    publish(&server);
    for number in 0..10 {
        put_pool(&server, &format!("pool-{number}"), &format!("10.{number}.0.0/24"));
    }
    let told = |number| is(&server, POOLS, &format!("pool-{number}"), "True");
    until("in spite of all", || (0..10).all(told)).await;
    server.set_faults(Faults::default());
    server.go_down().unwrap();
    put_pool(&server, "pool-1", "10.2.0.0/25");
    server.come_up().unwrap();
    until("after a while", || is(&server, POOLS, "pool-2", "False Overlap")).await;
}

/// A node that hands nothing out.
struct Idle;

impl Place for Idle {
    async fn shares(&self) -> Shares {
        Shares::new()
    }

    async fn usage(&self, ranges: &[AddressRange]) -> Vec<Usage> {
        ranges.iter().map(|_| Usage { rows: 0, free: 16 }).collect()
    }

    async fn users(&self, _range: AddressRange) -> Vec<Allocation> {
        Vec::new()
    }

    async fn serve(
        &self,
        _shares: &Shares,
        _unused: Option<AddressRange>,
    ) -> Result<bool, Box<dyn StdError + Send + Sync>> {
        Ok(true)
    }

    async fn tell(&self, _warnings: Vec<String>) {}
}

#[tokio::test]
async fn blocks_are_counted_when_all_are_listed() {
    let server = server();
    for node in ["one", "x"] {
        put_node(&server, node);
    }
    put_pool(&server, "pods", "10.0.0.0/20");
    let timing = Timing { collect: Duration::from_millis(50), ..Timing::default() };
    let low = Arc::default();
    let keeper = Keeper::new(client(&server), "one", &[], Idle, low, timing).await;
    let counts = keeper.counts();
    tokio::spawn(Publisher::new(client(&server), counts, Duration::from_millis(20)).run());
    tokio::spawn(keeper.run());
    let blocks = |count: usize| status(&server, POOLS, "pods")["blocks"] == count;
    until("the node's own", || blocks(1)).await;
    let own = server.list(BLOCKS, None).unwrap()[0]["metadata"]["name"].clone();
    let free = (0..16).map(|number| format!("pods-10-0-{number}-0")).filter(|name| own != **name);
    let free: Vec<_> = free.collect();
    for name in &free[..5] {
        let number = name.split('-').nth(3).unwrap().parse().unwrap();
        put_block(&server, "pods", number);
    }
    until("more of them", || blocks(6)).await;
    for name in &free[..5] {
        server.delete(BLOCKS, "", name).unwrap();
    }
    until("less of them", || blocks(1)).await;
}
