//! Lists: selectors, pages and versions.

use serde_json::json;

use super::{CONFIG_MAPS, PODS, config_map, get, names, pod, server};

#[tokio::test]
async fn selectors_select() {
    let server = server();
    for (name, labels) in [
        ("both", json!({"app": "web", "tier": "front"})),
        ("none", json!({})),
        ("one", json!({"app": "db"})),
    ] {
        let mut object = pod(name, name);
        object["metadata"]["labels"] = labels;
        server.put(object).unwrap();
    }
    for (selector, selected) in [
        ("labelSelector=app%3Dweb", vec!["both"]),
        ("labelSelector=app!%3Dweb", vec!["none", "one"]),
        ("labelSelector=app%20in%20(web,db)", vec!["both", "one"]),
        ("labelSelector=app%20notin%20(web)", vec!["none", "one"]),
        ("labelSelector=tier", vec!["both"]),
        ("labelSelector=!tier,app", vec!["one"]),
        ("fieldSelector=spec.nodeName%3Dnone", vec!["none"]),
        ("fieldSelector=metadata.name!%3Dnone,metadata.namespace%3Ddefault", vec!["both", "one"]),
    ] {
        let (code, list) = get(&server, &format!("/api/v1/pods?{selector}")).await;
        assert_eq!((code, names(&list)), (200, selected), "{selector}");
    }
    let (code, status) = get(&server, "/api/v1/pods?fieldSelector=spec.foo%3Da").await;
    assert_eq!((code, &status["message"]), (400, &json!("field label not supported: spec.foo")));
    assert_eq!(get(&server, "/api/v1/pods?labelSelector=a%20near%20(b)").await.0, 400);
}

#[tokio::test]
async fn events_and_secrets_are_selected_by_their_own_fields() {
    let server = server();
    for (name, involved) in [("one", "pod-a"), ("two", "pod-b")] {
        server
            .put(json!({
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
                "involvedObject": {"kind": "Pod", "name": involved}, "type": "Warning",
            }))
            .unwrap();
    }
    let (_, list) =
        get(&server, "/api/v1/events?fieldSelector=involvedObject.name%3Dpod-b,type%3DWarning")
            .await;
    assert_eq!(names(&list), ["two"]);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "x"}, "type": "Opaque"});
    server.put(secret).unwrap();
    assert_eq!(names(&get(&server, "/api/v1/secrets?fieldSelector=type%3DOpaque").await.1), ["s"]);
}

#[tokio::test]
async fn a_namespace_is_listed_by_itself() {
    let server = server();
    for namespace in ["a", "default", "z"] {
        let mut object = config_map("one", "");
        object["metadata"]["namespace"] = namespace.into();
        server.put(object).unwrap();
    }
    let (_, list) = get(&server, CONFIG_MAPS).await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(names(&list).len(), 1);
    assert_eq!(list["items"][0]["metadata"]["namespace"], "default");
    assert!(list["items"][0]["kind"].is_null(), "items of built-in kinds leave their type out");
    assert_eq!(names(&get(&server, "/api/v1/configmaps").await.1).len(), 3);
}

#[tokio::test]
async fn pages_show_one_snapshot_until_it_is_compacted() {
    let server = server();
    for name in ["a", "b", "c", "d"] {
        server.put(pod(name, "n")).unwrap();
    }
    let (_, first) = get(&server, &format!("{PODS}?limit=2")).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);

    server.put(pod("bb", "n")).unwrap();
    server.delete("pods", "default", "c").unwrap();
    server.put(pod("d", "elsewhere")).unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("{PODS}?limit=2&continue={token}");
    let (_, second) = get(&server, &next).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][1]["spec"]["nodeName"], "n");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"]["continue"].is_null());

    server.compact();
    let (code, status) = get(&server, &next).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
}

#[tokio::test]
async fn a_list_is_of_the_version_that_was_asked_for() {
    let server = server();
    let version = server.put(pod("a", "n")).unwrap();
    server.put(pod("b", "n")).unwrap();
    let list = async |query: &str| get(&server, &format!("{PODS}?{query}")).await;
    let exact = format!("resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&list(&exact).await.1), ["a"]);
    let newer = format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan");
    assert_eq!(names(&list(&newer).await.1), ["a", "b"]);
    assert_eq!(names(&list("resourceVersion=0").await.1), ["a", "b"]);

    let (code, status) = list("resourceVersion=1000").await;
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    assert_eq!(list("resourceVersionMatch=Exact").await.0, 422);
    assert_eq!(list("resourceVersion=0&resourceVersionMatch=Exact").await.0, 422);
    server.compact();
    assert_eq!(list(&exact).await.0, 410);
}
