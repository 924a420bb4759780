//! The API server for tests keeps the conventions of the Kubernetes API.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod custom;
mod discovery;
mod faults;
mod lists;
mod load;
mod objects;
mod patches;
mod runtime;
mod watches;

use std::{fmt::Display, net::TcpListener, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use netpath_tests::apiserver::{ApiServer, Options};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// The longest that a condition may take.
const LIMIT: Duration = Duration::from_secs(20);

fn server() -> ApiServer {
    server_with(Options::default())
}

fn server_with(options: Options) -> ApiServer {
    ApiServer::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap()
}

fn client(server: &ApiServer) -> Client {
    let mut config = Config::new(server.url().parse().unwrap());
    "default".clone_into(&mut config.default_namespace);
    Client::try_from(config).unwrap()
}

/// Sends a request on a connection of its own.
async fn send(
    server: &ApiServer,
    method: Method,
    path: &str,
    content_type: &str,
    body: String,
) -> hyper::Result<Response<Incoming>> {
    let address = server.url().replace("http://", "");
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .header("user-agent", "test/1")
        .header("content-type", content_type);
    sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await
}

/// The code and the object of an answer.
async fn ask(
    server: &ApiServer,
    method: Method,
    path: &str,
    content_type: &str,
    body: impl Display,
) -> (u16, Value) {
    let answer = send(server, method, path, content_type, body.to_string()).await.unwrap();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap())
}

async fn get(server: &ApiServer, path: &str) -> (u16, Value) {
    ask(server, Method::GET, path, JSON, "").await
}

async fn post(server: &ApiServer, path: &str, body: Value) -> (u16, Value) {
    ask(server, Method::POST, path, JSON, body).await
}

async fn put(server: &ApiServer, path: &str, body: Value) -> (u16, Value) {
    ask(server, Method::PUT, path, JSON, body).await
}

async fn delete(server: &ApiServer, path: &str, options: Value) -> (u16, Value) {
    ask(server, Method::DELETE, path, JSON, options).await
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(2)).await;
    }
}

fn config_map(name: &str, data: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"}, "data": {"key": data},
    })
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"node": node}},
        "spec": {"nodeName": node, "containers": []},
    })
}

/// The names of a list's items.
fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
