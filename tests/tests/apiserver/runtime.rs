//! The watcher and the reflector of kube follow the server through every trouble.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher::{self, watcher},
    },
};
use netpath_tests::apiserver::{ApiServer, Options};
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use super::{client, pod, server, server_with, until};

/// A reflector in a task of its own.
fn reflect(server: &ApiServer, config: watcher::Config) -> (Store<Pod>, JoinHandle<()>) {
    let (store, writer) = reflector::store();
    let pods: Api<Pod> = Api::all(client(server));
    let events = watcher(pods, config).reflect(writer).for_each(async |event| {
        // The watcher goes on by itself, but as fast as it is polled.
        if event.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    (store, tokio::spawn(events))
}

fn names(store: &Store<Pod>) -> Vec<String> {
    let mut names: Vec<String> = store.state().iter().map(|pod| pod.name_any()).collect();
    names.sort();
    names
}

async fn follows(server: &ApiServer, store: &Store<Pod>) {
    let named = |pod: &serde_json::Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let expected: Vec<String> = server.list("pods", None).unwrap().iter().map(named).collect();
    until("the reflector follows", || names(store) == expected).await;
}

#[tokio::test]
async fn a_reflector_follows_through_every_trouble() {
    let bookmarks = Duration::from_millis(100);
    let server = server_with(Options { bookmarks, ..Options::default() });
    for name in ["a", "b", "c"] {
        server.put(pod(name, "n")).unwrap();
    }
    let (store, task) = reflect(&server, watcher::Config::default().page_size(2));
    follows(&server, &store).await;
    assert_eq!(server.requests("list", "pods"), 2, "two pages");
    until("the watch starts", || server.open_watches() == 1).await;

    server.disconnect_all();
    server.put(pod("d", "n")).unwrap();
    follows(&server, &store).await;
    assert_eq!(server.requests("list", "pods"), 2, "the watch goes on where it was");

    // Until the version of the reflector is forgotten, it must be away.
    until("the watch is back", || server.open_watches() == 1).await;
    server.go_down().unwrap();
    server.delete("pods", "default", "a").unwrap();
    server.put(pod("e", "n")).unwrap();
    server.compact();
    server.come_up().unwrap();
    follows(&server, &store).await;
    assert!(server.requests("list", "pods") >= 4, "it had to list again");

    until("the watch is back", || server.open_watches() == 1).await;
    server.go_down().unwrap();
    server.put(pod("f", "n")).unwrap();
    server.come_up().unwrap();
    follows(&server, &store).await;
    task.abort();
}

#[tokio::test]
async fn a_reflector_may_stream_its_list() {
    let server = server();
    server.put(pod("a", "n")).unwrap();
    let config = watcher::Config::default().streaming_lists().labels("node=n");
    let (store, task) = reflect(&server, config);
    follows(&server, &store).await;
    assert_eq!(server.requests("list", "pods"), 0);
    task.abort();
}

#[tokio::test]
async fn typed_clients_create_and_apply() {
    let server = server();
    let nodes: Api<Node> = Api::all(client(&server));
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "one"}})).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let params = PatchParams::apply("agent").force();
    let condition = json!({"type": "NetworkUnavailable", "status": "False"});
    let body = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"},
        "status": {"conditions": [condition]},
    });
    let node = nodes.patch_status("one", &params, &Patch::Apply(body)).await.unwrap();
    assert_eq!(node.status.unwrap().conditions.unwrap()[0].status, "False");
    let labels = json!({"metadata": {"labels": {"zone": "a"}}});
    let node = nodes.patch("one", &PatchParams::default(), &Patch::Merge(labels)).await.unwrap();
    assert_eq!(node.labels()["zone"], "a");
    let status = nodes.get("two").await.unwrap_err();
    assert!(matches!(status, kube::Error::Api(status) if status.is_not_found()));
    assert!(nodes.get_opt("two").await.unwrap().is_none());
}
