//! What agents tell the cluster: against an API server that fails, and beside other agents.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod judged;
mod node;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use kube::{Client, Config};
use netpath_agent::kube::types;
use netpath_tests::apiserver::{ApiServer, Faults, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

/// The longest that a condition may take.
const LIMIT: Duration = Duration::from_mins(1);

const POOLS: &str = "ippools.netpath.io";
const BLOCKS: &str = "ipblocks.netpath.io";
const NETWORKS: &str = "networks.netpath.io";
const NODES: &str = "nodenetworks.netpath.io";

/// An API server that knows the kinds of netpath.
fn server() -> ApiServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let seed = std::env::var("NETPATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("NETPATH_SEED={seed}");
    let server = ApiServer::start(listener, Options { seed, ..Options::default() }).unwrap();
    for definition in types::all() {
        server.put(serde_json::to_value(definition).unwrap()).unwrap();
    }
    server
}

fn client(server: &ApiServer) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}

fn put_node(server: &ApiServer, name: &str) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    server.put(node).unwrap();
}

/// Puts an object of netpath's; what it says of itself stays.
fn put(server: &ApiServer, resource: &str, kind: &str, name: &str, spec: &Value) {
    let mut object = json!({
        "apiVersion": "netpath.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    if let Some(status) = server.get(resource, "", name).unwrap().map(|it| it["status"].clone()) {
        object["status"] = status;
    }
    server.put(object).unwrap();
}

/// An object's status; null while there is none.
fn status(server: &ApiServer, resource: &str, name: &str) -> Value {
    let object = server.get(resource, "", name).unwrap();
    object.map_or(Value::Null, |object| object["status"].clone())
}

/// The condition Ready in words: `True Valid: addresses can be handed out`.
fn ready(status: &Value) -> String {
    let condition = &status["conditions"][0];
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

fn faults() -> Faults {
    Faults {
        latency: Duration::ZERO..=Duration::from_millis(5),
        conflict: 0.2,
        cut_before: 0.1,
        cut_after: 0.2,
        throttled: 0.02,
        failed: 0.1,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(5)).await;
    }
}
