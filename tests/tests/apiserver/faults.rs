//! Faults: what a client sees of them, and what is done nevertheless.

use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use hyper::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use netpath_tests::apiserver::{ApiServer, Faults, Options};
use serde_json::json;

use super::{CONFIG_MAPS, JSON, client, config_map, get, put, send, server, server_with};

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_work() {
    let server = server();
    for (name, faults, done) in [
        ("before", Faults { cut_before: 1.0, ..Faults::default() }, false),
        ("after", Faults { cut_after: 1.0, ..Faults::default() }, true),
    ] {
        server.set_faults(faults);
        let body = config_map(name, "").to_string();
        assert!(send(&server, Method::POST, CONFIG_MAPS, JSON, body).await.is_err());
        assert_eq!(server.get("configmaps", "default", name).unwrap().is_some(), done);
    }
}

#[tokio::test]
async fn a_request_is_refused() {
    let server = server();
    server.put(config_map("one", "a")).unwrap();
    server.set_faults(Faults { throttled: 1.0, ..Faults::default() });
    let answer = send(&server, Method::GET, CONFIG_MAPS, JSON, String::new()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    server.set_faults(Faults { failed: 1.0, ..Faults::default() });
    let (code, status) = get(&server, CONFIG_MAPS).await;
    assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
    server.set_faults(Faults { conflict: 1.0, ..Faults::default() });
    let path = format!("{CONFIG_MAPS}/one");
    let (code, status) = put(&server, &path, config_map("one", "b")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert_eq!(get(&server, &path).await.1["data"]["key"], "a");
    let latency = Duration::from_millis(20)..=Duration::from_millis(30);
    server.set_faults(Faults { latency, ..Faults::default() });
    let start = Instant::now();
    get(&server, &path).await;
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn faults_follow_from_the_seed() {
    let codes = async |seed| {
        let server = server_with(Options { seed, ..Options::default() });
        server.set_faults(Faults { failed: 0.5, ..Faults::default() });
        let mut codes = Vec::new();
        for _ in 0..20 {
            codes.push(get(&server, "/api").await.0);
        }
        codes
    };
    let first = codes(1).await;
    assert_eq!(first, codes(1).await);
    assert_ne!(first, codes(2).await);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_and_comes_back_with_its_state() {
    let server = server();
    server.put(config_map("one", "a")).unwrap();
    for _ in 0..3 {
        server.go_down().unwrap();
        let address = server.url().replace("http://", "");
        let refused = tokio::net::TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        server.come_up().unwrap();
        assert_eq!(get(&server, &format!("{CONFIG_MAPS}/one")).await.0, 200);
    }
}

/// Adds one to a counter, again and again until it succeeds; the more often it fails, the longer it
/// lets others go first.
async fn increment(maps: &Api<ConfigMap>) -> kube::Result<()> {
    for failures in 0_u32.. {
        let mut map = maps.get("counter").await?;
        let data = map.data.as_mut().unwrap();
        let count: u32 = data["key"].parse().unwrap();
        data.insert("key".to_owned(), (count + 1).to_string());
        match maps.replace("counter", &PostParams::default(), &map).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                let most = 1 << failures.min(6);
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..most))).await;
            }
            other => return other.map(drop),
        }
    }
    Ok(())
}

/// What `TASKS` tasks count together.
async fn count(server: &ApiServer) -> String {
    const TASKS: usize = 20;
    const TIMES: usize = 50;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(server));
    let task = async || {
        for _ in 0..TIMES {
            increment(&maps).await?;
        }
        Ok::<(), kube::Error>(())
    };
    try_join_all((0..TASKS).map(|_| task())).await.unwrap();
    maps.get("counter").await.unwrap().data.unwrap()["key"].clone()
}

#[tokio::test]
async fn optimistic_updates_lose_nothing() {
    let server = server();
    server.put(config_map("counter", "0")).unwrap();
    server.set_faults(Faults { conflict: 0.1, ..Faults::default() });
    assert_eq!(count(&server).await, "1000");
}

#[tokio::test]
async fn of_many_creations_one_succeeds() {
    let server = server();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let map: ConfigMap = serde_json::from_value(config_map("one", "")).unwrap();
    let params = PostParams::default();
    let results = join_all((0..20).map(|_| maps.create(&params, &map))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}
