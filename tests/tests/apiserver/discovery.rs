//! Discovery, health, and who may ask.

use std::fs;

use kube::{
    Client, Discovery,
    config::{KubeConfigOptions, Kubeconfig},
};
use netpath_tests::apiserver::Options;
use serde_json::json;

use super::{client, get, post, put, server, server_with};

#[tokio::test]
async fn the_kinds_are_discovered() {
    let server = server();
    let discovery = Discovery::new(client(&server)).run().await.unwrap();
    let kinds: Vec<String> = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .map(|(resource, _)| format!("{}/{}", resource.api_version, resource.plural))
        .collect();
    for kind in ["v1/nodes", "apps/v1/daemonsets", "discovery.k8s.io/v1/endpointslices"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind}: {kinds:?}");
    }
    let (_, core) = get(&server, "/api/v1").await;
    let pods = core["resources"].as_array().unwrap().iter();
    let pods: Vec<_> = pods.filter(|one| one["kind"] == "Pod").collect();
    assert_eq!((&pods[0]["shortNames"], &pods[0]["namespaced"]), (&json!(["po"]), &json!(true)));
    assert_eq!(pods[1]["name"], "pods/status");
    assert_eq!(client(&server).apiserver_version().await.unwrap().major, "1");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = server();
    for path in ["/", "/foo", "/api/v2", "/apis/foo", "/api/v1/foos", "/openapi/v2", "/openapi/v3"]
    {
        let (code, status) = get(&server, path).await;
        assert_eq!((code, &status["kind"]), (404, &json!("Status")), "{path}");
        assert_eq!(status["message"], "the server could not find the requested resource");
    }
    assert_eq!(post(&server, "/api/v1/pods", json!({})).await.0, 405);
    assert_eq!(put(&server, "/api", json!({})).await.0, 405);
    assert_eq!(get(&server, "/api/v1/namespaces/default/nodes").await.0, 404);
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let server = server_with(Options { token: Some("secret".to_owned()), ..Options::default() });
    let (code, status) = get(&server, "/api").await;
    assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    server.kubeconfig(&path).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains(&server.url()));
    let config = Kubeconfig::read_from(&path).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await.unwrap();
    Client::try_from(config).unwrap().apiserver_version().await.unwrap();
}
