//! Objects: created, updated, deleted.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, PODS, config_map, delete, get, names, pod, post, put, server, until};

#[tokio::test]
async fn a_created_object_gets_what_the_server_sets() {
    let server = server();
    let (code, object) = post(&server, CONFIG_MAPS, config_map("one", "a")).await;
    assert_eq!(code, 201);
    let meta = &object["metadata"];
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    assert_eq!(meta["generation"], 1);
    assert_eq!(meta["resourceVersion"], server.resource_version().to_string());
    assert_eq!(meta["managedFields"][0]["manager"], "test");
    assert_eq!(meta["managedFields"][0]["fieldsV1"], json!({"f:data": {"f:key": {}}}));
    assert!(meta["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/one")).await, (200, object));

    let (code, status) = post(&server, CONFIG_MAPS, config_map("one", "b")).await;
    assert_eq!(code, 409);
    assert_eq!(status["reason"], "AlreadyExists");
    assert_eq!(status["message"], "configmaps \"one\" already exists");
}

#[tokio::test]
async fn a_name_is_generated_or_checked() {
    let server = server();
    let mut object = config_map("", "a");
    object["metadata"] = json!({"generateName": "some-"});
    let (_, one) = post(&server, CONFIG_MAPS, object.clone()).await;
    let (_, other) = post(&server, CONFIG_MAPS, object).await;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(
        name(&one).starts_with("some-") && name(&one).len() == 10 && name(&one) != name(&other)
    );

    let (code, status) = post(&server, CONFIG_MAPS, config_map("Not_A_Name", "a")).await;
    assert_eq!(code, 422);
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.name");
    let (code, _) = post(&server, CONFIG_MAPS, pod("one", "a")).await;
    assert_eq!(code, 400, "a pod is no config map");
    let mut elsewhere = config_map("one", "a");
    elsewhere["metadata"]["namespace"] = "other".into();
    assert_eq!(post(&server, CONFIG_MAPS, elsewhere).await.0, 400);
}

#[tokio::test]
async fn an_update_needs_the_present_version_and_uid() {
    let server = server();
    let (_, first) = post(&server, CONFIG_MAPS, config_map("one", "a")).await;
    let path = format!("{CONFIG_MAPS}/one");
    let mut changed = first.clone();
    changed["data"]["key"] = "b".into();
    let (code, second) = put(&server, &path, changed.clone()).await;
    assert_eq!((code, &second["metadata"]["generation"]), (200, &json!(2)));

    let (code, status) = put(&server, &path, changed).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please \
         apply your changes to the latest version and try again"
    );

    let (code, same) = put(&server, &path, second.clone()).await;
    assert_eq!((code, &same), (200, &second), "an update that changes nothing keeps the version");
    assert_eq!(put(&server, &path, config_map("one", "c")).await.0, 200, "no version: no check");

    let mut other = config_map("one", "d");
    other["metadata"]["uid"] = "another".into();
    assert_eq!(put(&server, &path, other).await.0, 409);
    let (code, status) = put(&server, &format!("{CONFIG_MAPS}/two"), config_map("two", "")).await;
    assert_eq!((code, &status["message"]), (404, &json!("configmaps \"two\" not found")));
}

#[tokio::test]
async fn the_status_is_written_apart() {
    let server = server();
    let mut object = pod("one", "a");
    object["status"] = json!({"phase": "Running"});
    let (_, created) = post(&server, PODS, object.clone()).await;
    assert!(created["status"].is_null());

    let path = format!("{PODS}/one");
    object["spec"]["nodeName"] = "b".into();
    let (_, updated) = put(&server, &format!("{path}/status"), object.clone()).await;
    assert_eq!(updated["status"]["phase"], "Running");
    assert_eq!(updated["spec"]["nodeName"], "a");
    assert_eq!(updated["metadata"]["generation"], 1);

    object["status"]["phase"] = "Failed".into();
    let (_, updated) = put(&server, &path, object).await;
    assert_eq!(updated["status"]["phase"], "Running");
    assert_eq!(updated["spec"]["nodeName"], "b");
    assert_eq!(updated["metadata"]["generation"], 2);
    assert_eq!(get(&server, &format!("{path}/status")).await, (200, updated));
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/one/status")).await.0, 404);
}

#[tokio::test]
async fn a_deletion_checks_its_preconditions() {
    let server = server();
    let (_, object) = post(&server, CONFIG_MAPS, config_map("one", "a")).await;
    let path = format!("{CONFIG_MAPS}/one");
    for wrong in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let (code, status) = delete(&server, &path, json!({"preconditions": wrong})).await;
        assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    }
    let right = json!({"uid": object["metadata"]["uid"]});
    let (code, status) = delete(&server, &path, json!({"preconditions": right})).await;
    assert_eq!((code, &status["status"]), (200, &json!("Success")));
    assert_eq!(status["details"]["uid"], object["metadata"]["uid"]);
    assert_eq!(delete(&server, &path, json!({})).await.0, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = server();
    let mut object = config_map("one", "a");
    object["metadata"]["finalizers"] = json!(["test/held"]);
    post(&server, CONFIG_MAPS, object).await;
    let path = format!("{CONFIG_MAPS}/one");
    let (code, mut held) = delete(&server, &path, json!({})).await;
    assert_eq!(code, 200);
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(delete(&server, &path, json!({})).await, (200, held.clone()));

    held["metadata"]["finalizers"] = json!(["test/held", "test/late"]);
    assert_eq!(put(&server, &path, held.clone()).await.0, 403, "too late for another one");
    held["metadata"]["finalizers"] = json!([]);
    assert_eq!(put(&server, &path, held).await.0, 200);
    assert_eq!(get(&server, &path).await.0, 404);
}

#[tokio::test]
async fn what_is_owned_goes_after_its_owner() {
    let server = server();
    let (_, owner) = post(&server, CONFIG_MAPS, config_map("owner", "")).await;
    let mut dependent = pod("owned", "a");
    let reference =
        |uid: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
    dependent["metadata"]["ownerReferences"] = json!([reference(&owner["metadata"]["uid"])]);
    post(&server, PODS, dependent.clone()).await;
    let (_, second) = post(&server, CONFIG_MAPS, config_map("second", "")).await;
    dependent["metadata"]["name"] = "shared".into();
    dependent["metadata"]["ownerReferences"] =
        json!([reference(&owner["metadata"]["uid"]), reference(&second["metadata"]["uid"])]);
    post(&server, PODS, dependent).await;

    delete(&server, &format!("{CONFIG_MAPS}/owner"), json!({})).await;
    until("the owned pod goes", || server.get("pods", "default", "owned").unwrap().is_none()).await;
    assert!(server.get("pods", "default", "shared").unwrap().is_some());
    delete(&server, &format!("{CONFIG_MAPS}/second"), json!({})).await;
    until("the shared pod goes", || server.get("pods", "default", "shared").unwrap().is_none())
        .await;
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = server();
    for (name, node) in [("one", "a"), ("two", "b"), ("three", "a")] {
        server.put(pod(name, node)).unwrap();
    }
    let (code, deleted) =
        delete(&server, &format!("{PODS}?labelSelector=node%3Da"), json!({})).await;
    assert_eq!((code, names(&deleted)), (200, vec!["one", "three"]));
    assert_eq!(names(&get(&server, PODS).await.1), ["two"]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let server = server();
    let before = server.resource_version();
    let (code, object) =
        post(&server, &format!("{CONFIG_MAPS}?dryRun=All"), config_map("one", "a")).await;
    assert_eq!((code, &object["data"]["key"]), (201, &json!("a")));
    assert_eq!(server.resource_version(), before);
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/one")).await.0, 404);
}
