//! A node's `NodeNetwork` follows the node.

use std::{
    error::Error as StdError,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use netpath_agent::kube::{
    report::{Look, Ready, Reporter, Source, Timing},
    types::ParentStatus,
};
use netpath_tests::apiserver::{ApiServer, Faults};
use serde_json::{Value, json};

use super::{NODES, client, faults, put_node, ready, server, status, until};

/// Only what changes is written.
const TIMING: Timing = Timing {
    look: Duration::from_millis(10),
    refresh: Duration::from_hours(1),
    pause: Duration::from_millis(5),
};

/// A node that is as the test says.
#[derive(Clone)]
struct Node {
    look: Arc<Mutex<Look>>,
    looks: Arc<AtomicU64>,
}

impl Source for Node {
    async fn look(&self) -> Result<Look, Box<dyn StdError + Send + Sync>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(self.look.lock().unwrap().clone())
    }
}

impl Node {
    /// One whose reporter runs.
    fn start(server: &ApiServer, name: &str, timing: Timing) -> Self {
        let look = Look {
            version: "0.1.0".to_owned(),
            parents: vec![ParentStatus {
                name: "eth0".to_owned(),
                mac: Some("02:00:00:00:00:01".to_owned()),
                mtu: Some(1500),
                attachment: "ipvlan-l2".to_owned(),
                up: true,
                addresses: vec!["10.0.1.5/24".to_owned(), "fd00:1::5/64".to_owned()],
                endpoints: 2,
            }],
            pods: 2,
            services: 7,
            blocks: vec!["pods-10-0-1-16".to_owned()],
            warnings: Vec::new(),
            ready: Ready::yes("Ready", "pods can be attached"),
        };
        let node = Self { look: Arc::new(Mutex::new(look)), looks: Arc::default() };
        tokio::spawn(Reporter::new(client(server), name, node.clone(), timing).run());
        node
    }

    fn change(&self, change: impl FnOnce(&mut Look)) {
        change(&mut self.look.lock().unwrap());
    }

    /// Waits until it was looked at some times more.
    async fn is_seen(&self) {
        let before = self.looks.load(Ordering::Relaxed);
        until("it is looked at", || self.looks.load(Ordering::Relaxed) > before + 20).await;
    }
}

fn pods(server: &ApiServer) -> Value {
    status(server, NODES, "one")["pods"].clone()
}

#[tokio::test]
async fn it_is_made_and_follows() {
    let server = server();
    let node = Node::start(&server, "one", TIMING);
    // Without a node there is nobody whose it could be.
    until("it is tried", || server.requests("get", NODES) > 2).await;
    assert_eq!(server.get(NODES, "", "one").unwrap(), None);
    put_node(&server, "one");
    until("it is made", || pods(&server) == 2).await;

    let object = server.get(NODES, "", "one").unwrap().unwrap();
    let uid = server.get("nodes", "", "one").unwrap().unwrap()["metadata"]["uid"].clone();
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "one", "uid": uid}]);
    assert_eq!(object["metadata"]["ownerReferences"], owner);
    let mut status = object["status"].clone();
    let observed = status["observedAt"].take();
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Ready", "message": "pods can be attached",
        "lastTransitionTime": observed,
    });
    let parent = json!({
        "name": "eth0", "mac": "02:00:00:00:00:01", "mtu": 1500, "attachment": "ipvlan-l2",
        "up": true, "addresses": ["10.0.1.5/24", "fd00:1::5/64"], "endpoints": 2,
    });
    let expected = json!({
        "agentVersion": "0.1.0", "parents": [parent], "pods": 2, "services": 7,
        "blocks": ["pods-10-0-1-16"], "conditions": [condition], "observedAt": null,
    });
    assert_eq!(status, expected);

    // What is not said any more goes.
    node.change(|look| {
        look.parents[0] =
            ParentStatus { mac: None, up: false, addresses: Vec::new(), ..look.parents[0].clone() };
        look.blocks.clear();
        look.warnings = vec!["parent eth0: is down".to_owned()];
        look.ready = Ready::no("ParentUnusable", "parent eth0: is down");
    });
    let now = || super::status(&server, NODES, "one");
    until("it follows", || ready(&now()) == "False ParentUnusable: parent eth0: is down").await;
    let parent = json!({
        "name": "eth0", "mtu": 1500, "attachment": "ipvlan-l2", "up": false, "endpoints": 2,
    });
    assert_eq!(now()["parents"], json!([parent]));
    assert_eq!(now()["blocks"], Value::Null);
    assert_eq!(now()["warnings"], json!(["parent eth0: is down"]));

    // It is made anew if somebody deletes it, and goes with its node.
    server.delete(NODES, "", "one").unwrap();
    node.change(|look| look.pods = 3);
    until("it is made anew", || pods(&server) == 3).await;
    server.delete("nodes", "", "one").unwrap();
    until("it is collected", || server.get(NODES, "", "one").unwrap().is_none()).await;
}

#[tokio::test]
async fn it_is_written_when_something_changes() {
    let server = server();
    put_node(&server, "one");
    let node = Node::start(&server, "one", TIMING);
    until("it is made", || pods(&server) == 2).await;
    let written = || server.requests("patch", "nodenetworks.netpath.io/status");
    node.is_seen().await;
    assert_eq!(written(), 1);
    node.change(|look| look.pods = 3);
    until("it follows", || pods(&server) == 3).await;
    node.is_seen().await;
    assert_eq!(written(), 2);
    assert_eq!(server.requests("get", NODES), 1);
}

#[tokio::test]
async fn it_tells_that_the_agent_lives() {
    let server = server();
    put_node(&server, "one");
    let refresh = Duration::from_millis(100);
    let _node = Node::start(&server, "one", Timing { refresh, ..TIMING });
    until("it is made", || pods(&server) == 2).await;
    let first = status(&server, NODES, "one");
    let now = || status(&server, NODES, "one");
    // Times are whole seconds.
    until("it is written again", || now()["observedAt"] != first["observedAt"]).await;
    assert_eq!(now()["conditions"], first["conditions"]);
}

#[tokio::test]
async fn who_comes_after_a_restart_goes_on() {
    let server = server();
    put_node(&server, "one");
    let object = json!({
        "apiVersion": "netpath.io/v1alpha1", "kind": "NodeNetwork", "metadata": {"name": "one"},
        "spec": {},
        "status": {"pods": 9, "conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "pods can be attached",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    server.put(object).unwrap();
    let node = Node::start(&server, "one", TIMING);
    until("it is taken over", || pods(&server) == 2).await;
    let since = || status(&server, NODES, "one")["conditions"][0]["lastTransitionTime"].clone();
    assert_eq!(since(), "2026-01-01T00:00:00Z");
    node.change(|look| look.ready = Ready::no("Failed", "no"));
    until("it follows", || since() != "2026-01-01T00:00:00Z").await;
    assert_eq!(server.requests("create", NODES), 0);
}

#[tokio::test]
async fn it_catches_up_when_the_api_server_comes_back() {
    let server = server();
    put_node(&server, "one");
    server.set_faults(faults());
    let node = Node::start(&server, "one", TIMING);
    for count in 1..20 {
        node.change(|look| look.pods = count);
        until("it follows", || pods(&server) == count).await;
    }
    server.set_faults(Faults::default());
    server.go_down().unwrap();
    node.change(|look| look.pods = 77);
    node.is_seen().await;
    assert_eq!(pods(&server), 19);
    server.come_up().unwrap();
    until("it catches up", || pods(&server) == 77).await;
}
