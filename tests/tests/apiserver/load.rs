//! As much as a large cluster has.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::ListParams};
use serde_json::json;

use super::{client, server};

#[tokio::test]
async fn ten_thousand_services_are_loaded_and_listed() {
    const SERVICES: usize = 10_000;
    let server = server();
    let start = Instant::now();
    for index in 0..SERVICES {
        let name = format!("service-{index}");
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
        });
        server.put(service).unwrap();
    }
    let loaded = start.elapsed();
    let services: Api<Service> = Api::all(client(&server));
    let list = services.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), SERVICES);
    println!("loaded in {loaded:?}, listed in {:?}", start.elapsed().saturating_sub(loaded));
    assert!(start.elapsed() < Duration::from_secs(10));
}
