//! Watches: what they tell, in which order, and when they end.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{Method, body::Incoming};
use netpath_tests::apiserver::{ApiServer, Options};
use serde_json::Value;
use tokio::time::timeout;

use super::{JSON, LIMIT, PODS, pod, send, server, server_with, until};

/// A watch, line by line.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    async fn open(server: &ApiServer, query: &str) -> Self {
        let path = format!("{PODS}?watch=1&{query}");
        let answer = send(server, Method::GET, &path, JSON, String::new()).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body(), buffer: Vec::new() }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = timeout(LIMIT, self.body.frame()).await.expect("a watch says nothing")?;
            self.buffer.extend(frame.ok()?.into_data().unwrap());
        }
    }

    /// The type, the name and the version of the next event.
    async fn event(&mut self) -> (String, String, u64) {
        let event = self.next().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let meta = &event["object"]["metadata"];
        let version = text(&meta["resourceVersion"]).parse().unwrap();
        (text(&event["type"]), text(&meta["name"]), version)
    }
}

fn event(sort: &str, name: &str, version: u64) -> (String, String, u64) {
    (sort.to_owned(), name.to_owned(), version)
}

#[tokio::test]
async fn a_watch_starts_from_its_version() {
    let server = server();
    let first = server.put(pod("a", "n")).unwrap();
    let second = server.put(pod("b", "n")).unwrap();
    let mut lines = Lines::open(&server, &format!("resourceVersion={first}")).await;
    assert_eq!(lines.event().await, event("ADDED", "b", second));
    let third = server.put(pod("a", "m")).unwrap();
    assert_eq!(lines.event().await, event("MODIFIED", "a", third));
    server.delete("pods", "default", "a").unwrap();
    assert_eq!(lines.event().await, event("DELETED", "a", server.resource_version()));
}

#[tokio::test]
async fn a_watch_without_a_version_starts_with_what_there_is() {
    let server = server();
    let first = server.put(pod("a", "n")).unwrap();
    for query in ["", "resourceVersion=0"] {
        let mut lines = Lines::open(&server, query).await;
        assert_eq!(lines.event().await, event("ADDED", "a", first));
        let second = server.put(pod("b", "n")).unwrap();
        assert_eq!(lines.event().await, event("ADDED", "b", second));
        server.delete("pods", "default", "b").unwrap();
    }
}

#[tokio::test]
async fn objects_enter_and_leave_a_selector() {
    let server = server();
    let version = server.resource_version();
    let query = format!("resourceVersion={version}&labelSelector=node%3Dhere");
    let mut lines = Lines::open(&server, &query).await;
    server.put(pod("a", "there")).unwrap();
    let entered = server.put(pod("a", "here")).unwrap();
    let left = server.put(pod("a", "there")).unwrap();
    server.delete("pods", "default", "a").unwrap();
    let last = server.put(pod("b", "here")).unwrap();
    assert_eq!(lines.event().await, event("ADDED", "a", entered));
    assert_eq!(lines.event().await, event("DELETED", "a", left));
    assert_eq!(lines.event().await, event("ADDED", "b", last));
}

#[tokio::test]
async fn bookmarks_tell_how_far_a_watch_is() {
    let bookmarks = Duration::from_millis(20);
    let server = server_with(Options { bookmarks, ..Options::default() });
    let mut lines = Lines::open(&server, "resourceVersion=1&allowWatchBookmarks=true").await;
    server.put(super::config_map("other", "")).unwrap();
    let version = server.resource_version();
    loop {
        let (sort, name, at) = lines.event().await;
        assert_eq!((sort.as_str(), name.as_str()), ("BOOKMARK", ""));
        if at == version {
            break;
        }
    }
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark() {
    let server = server();
    let version = server.put(pod("a", "n")).unwrap();
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut lines = Lines::open(&server, query).await;
    assert_eq!(lines.event().await, event("ADDED", "a", version));
    let bookmark = lines.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_so() {
    let server = server();
    let version = server.put(pod("a", "n")).unwrap();
    server.put(pod("b", "n")).unwrap();
    server.compact();
    let mut lines = Lines::open(&server, &format!("resourceVersion={version}")).await;
    let error = lines.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!(error["object"]["code"], 410);
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(lines.next().await, None);

    let newest = server.resource_version();
    let mut lines = Lines::open(&server, &format!("resourceVersion={newest}")).await;
    let version = server.put(pod("c", "n")).unwrap();
    assert_eq!(lines.event().await, event("ADDED", "c", version));
}

#[tokio::test]
async fn a_watch_ends_with_its_time_or_its_connection() {
    let server = server();
    let mut lines = Lines::open(&server, "resourceVersion=1&timeoutSeconds=1").await;
    assert_eq!(lines.next().await, None);
    until("the first watch ends", || server.open_watches() == 0).await;

    let mut lines = Lines::open(&server, "resourceVersion=1").await;
    assert_eq!(server.open_watches(), 1);
    server.disconnect_all();
    assert_eq!(lines.next().await, None);
    until("the second watch ends", || server.open_watches() == 0).await;

    let lines = Lines::open(&server, "resourceVersion=1").await;
    drop(lines);
    until("a watch ends with its client", || server.open_watches() == 0).await;
    assert_eq!(server.requests("watch", "pods"), 3);
    assert_eq!(server.requests("list", "pods"), 0);
}
