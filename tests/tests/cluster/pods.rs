//! What the cluster says of pods.

use std::{net::TcpListener, sync::Arc};

use netpath_agent::{kube::pods::Directory, kube::types, pod::PodName};
use netpath_tests::apiserver::{ApiServer, Options};
use serde_json::json;
use tokio::sync::Notify;

use crate::cluster::client;

fn name(uid: Option<&str>) -> PodName {
    let (namespace, name) = ("default".to_owned(), "a".to_owned());
    PodName { namespace, name, uid: uid.map(str::to_owned) }
}

/// Before netpath's definitions are installed, pods are pods.
#[tokio::test]
async fn a_cluster_without_our_kinds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ApiServer::start(listener, Options::default()).unwrap();
    let (directory, follow) = Directory::follow(client(&server), "one", Arc::new(Notify::new()));
    tokio::spawn(follow);
    server
        .put(json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "one"},
            "metadata": {
                "name": "a", "namespace": "default", "labels": {"app": "a"},
                "annotations": {"netpath.io/pools": "mine", "other": "x", "kubernetes.io/config.hash": "hash"},
            },
        }))
        .unwrap();
    let said = directory.wait(&name(None)).await.unwrap();
    assert_eq!(said.labels["app"], "a");
    assert!(!said.annotations.contains_key("other"));
    assert_eq!(said.networks, []);
    // By its UID, and by that of its file.
    let uid = said.uid;
    assert_eq!(directory.look(&name(Some(&uid))).unwrap().uid, uid);
    assert_eq!(directory.look(&name(Some("hash"))).unwrap().uid, "hash");
    assert_eq!(directory.look(&name(Some("other"))), None);
    // A kind that comes is followed.
    for definition in types::all() {
        server.put(serde_json::to_value(definition).unwrap()).unwrap();
    }
    server
        .put(json!({
            "apiVersion": "netpath.io/v1alpha1", "kind": "Network",
            "metadata": {"name": "fast"}, "spec": {"default": false},
        }))
        .unwrap();
    let heard = async {
        while directory.look(&name(None)).unwrap().networks.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::cluster::LIMIT, heard).await.unwrap();
}
