//! Patches of every sort, and who owns the fields after an apply.

use hyper::Method;
use netpath_tests::apiserver::ApiServer;
use serde_json::{Value, json};

use super::{APPLY, CONFIG_MAPS, JSON, MERGE, PODS, ask, config_map, get, pod, post, put, server};

const ONE: &str = "/api/v1/namespaces/default/configmaps/one";
const NODE: &str = "/api/v1/nodes/one";

async fn patch(server: &ApiServer, path: &str, sort: &str, body: Value) -> (u16, Value) {
    ask(server, Method::PATCH, path, sort, body).await
}

async fn apply(server: &ApiServer, path: &str, manager: &str, body: Value) -> (u16, Value) {
    patch(server, &format!("{path}?fieldManager={manager}"), APPLY, body).await
}

fn data(data: Value) -> Value {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}});
    map["data"] = data;
    map
}

#[tokio::test]
async fn a_merge_patch_merges_and_removes() {
    let server = server();
    post(&server, CONFIG_MAPS, config_map("one", "a")).await;
    let body = json!({"metadata": {"labels": {"x": "y"}}, "data": {"key": null, "other": "b"}});
    let (code, object) = patch(&server, ONE, MERGE, body).await;
    assert_eq!((code, &object["data"]), (200, &json!({"other": "b"})));
    assert_eq!(object["metadata"]["labels"], json!({"x": "y"}));

    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"other": "c"}});
    assert_eq!(patch(&server, ONE, MERGE, stale).await.0, 409);
    let nothing = patch(&server, ONE, MERGE, json!({"data": {"other": "b"}})).await.1;
    assert_eq!(nothing["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    assert_eq!(patch(&server, &format!("{CONFIG_MAPS}/two"), MERGE, json!({})).await.0, 404);
    assert_eq!(patch(&server, ONE, JSON, json!({})).await.0, 415);
}

#[tokio::test]
async fn a_json_patch_tests_and_replaces() {
    let server = server();
    post(&server, CONFIG_MAPS, config_map("one", "a")).await;
    let sort = "application/json-patch+json";
    let replace = json!({"op": "replace", "path": "/data/key", "value": "b"});
    let test = |value: &str| json!({"op": "test", "path": "/data/key", "value": value});
    let (code, object) = patch(&server, ONE, sort, json!([test("a"), replace])).await;
    assert_eq!((code, &object["data"]["key"]), (200, &json!("b")));
    let (code, status) = patch(&server, ONE, sort, json!([test("a"), replace])).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
}

#[tokio::test]
async fn a_strategic_patch_merges_lists_by_their_keys() {
    let server = server();
    let condition = |sort: &str, status: &str| json!({"type": sort, "status": status});
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"},
        "status": {"conditions": [condition("Ready", "True"), condition("Full", "False")]},
    });
    server.put(node).unwrap();
    let sort = "application/strategic-merge-patch+json";
    let body = json!({"status": {"conditions": [
        condition("Ready", "False"), {"type": "Full", "$patch": "delete"}, condition("New", "True"),
    ]}});
    let (_, node) = patch(&server, &format!("{NODE}/status"), sort, body).await;
    let expected = json!([condition("Ready", "False"), condition("New", "True")]);
    assert_eq!(node["status"]["conditions"], expected);
}

#[tokio::test]
async fn an_apply_creates_and_then_owns() {
    let server = server();
    let (code, object) = apply(&server, ONE, "first", data(json!({"a": "1", "b": "2"}))).await;
    assert_eq!(code, 201);
    let owned = &object["metadata"]["managedFields"][0];
    assert_eq!((&owned["manager"], &owned["operation"]), (&json!("first"), &json!("Apply")));
    assert_eq!(owned["fieldsType"], "FieldsV1");
    assert_eq!(owned["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));

    let (code, same) = apply(&server, ONE, "first", data(json!({"a": "1", "b": "2"}))).await;
    assert_eq!((code, same), (200, object), "the same again changes nothing");

    apply(&server, ONE, "second", data(json!({"b": "2", "c": "3"}))).await;
    let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let (_, object) = apply(&server, ONE, "first", nothing).await;
    assert_eq!(object["data"], json!({"b": "2", "c": "3"}), "b belongs to the second as well");
    assert_eq!(object["metadata"]["managedFields"][0]["manager"], "second");
}

#[tokio::test]
async fn a_conflicting_apply_needs_force() {
    let server = server();
    apply(&server, ONE, "first", data(json!({"a": "1"}))).await;
    let (code, status) = apply(&server, ONE, "second", data(json!({"a": "2"}))).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    let cause = json!({
        "reason": "FieldManagerConflict", "field": ".data.a", "message": "conflict with \"first\"",
    });
    assert_eq!(status["details"]["causes"], json!([cause]));
    assert_eq!(status["message"], "Apply failed with 1 conflict: conflict with \"first\": .data.a");

    let (code, object) = apply(&server, ONE, "second&force=true", data(json!({"a": "2"}))).await;
    assert_eq!((code, &object["data"]["a"]), (200, &json!("2")));
    assert_eq!(object["metadata"]["managedFields"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_updates_a_field_takes_it() {
    let server = server();
    apply(&server, ONE, "first", data(json!({"a": "1", "b": "2"}))).await;
    let body = json!({"data": {"a": "9"}});
    patch(&server, &format!("{ONE}?fieldManager=editor"), MERGE, body).await;
    let (code, status) = apply(&server, ONE, "first", data(json!({"a": "1", "b": "2"}))).await;
    assert_eq!(code, 409);
    let message = &status["details"]["causes"][0]["message"];
    assert!(message.as_str().unwrap().starts_with("conflict with \"editor\" using v1 at 2"));
    let (code, _) = apply(&server, ONE, "first", data(json!({"a": "9", "b": "2"}))).await;
    assert_eq!(code, 200, "who agrees shares");
}

#[tokio::test]
async fn lists_with_keys_are_owned_by_their_items() {
    let server = server();
    server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}})).unwrap();
    let node = |conditions: Value| json!({"apiVersion": "v1", "kind": "Node", "status": {"conditions": conditions}});
    let condition = |sort: &str, status: &str| json!({"type": sort, "status": status});
    let path = format!("{NODE}/status");
    apply(&server, &path, "kubelet", node(json!([condition("Ready", "True")]))).await;
    let both = json!([condition("Network", "True"), condition("Disk", "True")]);
    apply(&server, &path, "agent", node(both)).await;
    let (_, object) =
        apply(&server, &path, "agent", node(json!([condition("Network", "False")]))).await;
    let expected = json!([condition("Ready", "True"), condition("Network", "False")]);
    assert_eq!(object["status"]["conditions"], expected);
    let owned = &object["metadata"]["managedFields"][1];
    assert_eq!(owned["subresource"], "status");
    let item = json!({".": {}, "f:type": {}, "f:status": {}});
    let fields = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Network\"}": item}}});
    assert_eq!(owned["fieldsV1"], fields);
}

#[tokio::test]
async fn an_apply_of_the_status_leaves_the_rest() {
    let server = server();
    post(&server, PODS, pod("one", "a")).await;
    let mut body = pod("one", "b");
    body["status"] = json!({"phase": "Running"});
    let path = format!("{PODS}/one");
    let (_, object) = apply(&server, &format!("{path}/status"), "agent", body.clone()).await;
    assert_eq!(object["spec"]["nodeName"], "a");
    assert_eq!(object["status"]["phase"], "Running");
    body["status"] = json!({"phase": "Failed"});
    let (_, object) = apply(&server, &path, "agent&force=true", body).await;
    assert_eq!(object["spec"]["nodeName"], "b");
    assert_eq!(object["status"]["phase"], "Running");
    let missing = format!("{PODS}/two/status");
    assert_eq!(apply(&server, &missing, "agent", pod("two", "a")).await.0, 404);
}

#[tokio::test]
async fn an_apply_may_be_yaml_and_must_name_its_manager() {
    let server = server();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"1\"\n";
    let path = format!("{ONE}?fieldManager=m");
    let (code, object) = ask(&server, Method::PATCH, &path, APPLY, yaml).await;
    assert_eq!((code, &object["data"]["a"]), (201, &json!("1")));
    let (code, status) = ask(&server, Method::PATCH, ONE, APPLY, yaml).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("fieldManager")));
    assert_eq!(patch(&server, &format!("{ONE}?force=true"), MERGE, json!({})).await.0, 422);
    let (_, mut live) = get(&server, ONE).await;
    assert_eq!(patch(&server, &path, APPLY, live.clone()).await.0, 400, "managedFields");
    live["metadata"]["resourceVersion"] = "1".into();
    assert_eq!(put(&server, ONE, live.clone()).await.0, 409);
    live["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(patch(&server, &path, APPLY, live).await.0, 409, "an old version");
}
