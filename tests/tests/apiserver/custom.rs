//! Custom resources: defined, checked, pruned and defaulted.

use hyper::Method;
use netpath_tests::apiserver::ApiServer;
use serde_json::{Value, json};

use super::{APPLY, MERGE, ask, delete, get, names, post, put, server};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const POOLS: &str = "/apis/test.io/v1/namespaces/default/pools";

fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "subresources": {"status": {}},
            "selectableFields": [{"jsonPath": ".spec.zone"}],
            "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                "spec": {
                    "type": "object", "required": ["zone"],
                    "x-kubernetes-validations": [
                        {"rule": "self.size <= 8 || self.zone != 'a'", "message": "zone a is small"},
                        {"rule": "self.zone == oldSelf.zone", "message": "zone is immutable"},
                    ],
                    "properties": {
                        "zone": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
                        "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 4},
                        "mode": {"type": "string", "enum": ["fast", "slow"]},
                        "ranges": {
                            "type": "array", "minItems": 1, "maxItems": 2,
                            "items": {"type": "object", "properties": {"from": {"type": "string"}}},
                        },
                        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                },
                "status": {"type": "object", "properties": {"used": {"type": "integer"}}},
            }}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "pools.test.io"},
        "spec": {
            "group": "test.io", "scope": "Namespaced",
            "names": {"plural": "pools", "kind": "Pool", "shortNames": ["pl"]},
            "versions": [version("v1", true), version("v1alpha1", false)],
        },
    })
}

fn pool(spec: Value) -> Value {
    let mut pool = json!({"apiVersion": "test.io/v1", "kind": "Pool", "metadata": {"name": "one"}});
    pool["spec"] = spec;
    pool
}

async fn defined() -> ApiServer {
    let server = server();
    assert_eq!(post(&server, DEFINITIONS, definition()).await.0, 201);
    server
}

#[tokio::test]
async fn a_definition_is_established_and_served() {
    let server = server();
    assert_eq!(get(&server, POOLS).await.0, 404);
    let path = format!("{DEFINITIONS}/pools.test.io?fieldManager=m");
    let (code, object) = ask(&server, Method::PATCH, &path, APPLY, definition()).await;
    assert_eq!(code, 201);
    let conditions = object["status"]["conditions"].as_array().unwrap();
    for sort in ["Established", "NamesAccepted"] {
        let is = |condition: &&Value| condition["type"] == sort && condition["status"] == "True";
        assert!(conditions.iter().any(|condition| is(&condition)), "{sort}");
    }
    assert_eq!(object["status"]["acceptedNames"]["singular"], "pool");
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
    let (code, again) = ask(&server, Method::PATCH, &path, APPLY, definition()).await;
    assert_eq!((code, again), (200, object));

    let (_, discovered) = get(&server, "/apis/test.io/v1").await;
    assert_eq!(discovered["resources"][0]["shortNames"], json!(["pl"]));
    assert_eq!(discovered["resources"][1]["name"], "pools/status");
    post(&server, POOLS, pool(json!({"zone": "a"}))).await;
    let (_, other) = get(&server, "/apis/test.io/v1alpha1/namespaces/default/pools/one").await;
    assert_eq!(other["apiVersion"], "test.io/v1alpha1", "one object in every version");

    delete(&server, &format!("{DEFINITIONS}/pools.test.io"), json!({})).await;
    assert_eq!(get(&server, POOLS).await.0, 404);
    assert_eq!(get(&server, "/apis/test.io").await.0, 404);
    post(&server, DEFINITIONS, definition()).await;
    assert!(names(&get(&server, POOLS).await.1).is_empty(), "the objects went as well");
}

#[tokio::test]
async fn a_wrong_definition_is_refused() {
    let server = server();
    let mut wrong = definition();
    wrong["metadata"]["name"] = "other.test.io".into();
    let (code, status) = post(&server, DEFINITIONS, wrong).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("metadata.name")));
}

#[tokio::test]
async fn defaults_are_set_and_unknown_fields_pruned() {
    let server = defined().await;
    let spec =
        json!({"zone": "a", "odd": 1, "any": {"x": 1}, "ranges": [{"from": "b", "to": "c"}]});
    let (code, object) = post(&server, POOLS, pool(spec.clone())).await;
    assert_eq!(code, 201);
    let expected = json!({"zone": "a", "size": 4, "any": {"x": 1}, "ranges": [{"from": "b"}]});
    assert_eq!(object["spec"], expected);
    let (code, status) =
        post(&server, &format!("{POOLS}?fieldValidation=Strict"), pool(spec)).await;
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "strict decoding error: unknown field \"spec.odd\", unknown field \"spec.ranges[0].to\""
    );
    let (_, list) = get(&server, &format!("{POOLS}?fieldSelector=spec.zone%3Da")).await;
    assert_eq!(names(&list), ["one"]);
    assert_eq!(list["items"][0]["kind"], "Pool", "items of custom resources tell their type");
}

#[tokio::test]
async fn violations_name_the_field() {
    let server = defined().await;
    for (spec, field, reason) in [
        (json!({}), "spec.zone", "FieldValueRequired"),
        (json!({"zone": 1}), "spec.zone", "FieldValueTypeInvalid"),
        (json!({"zone": "A"}), "spec.zone", "FieldValueInvalid"),
        (json!({"zone": "aaaa"}), "spec.zone", "FieldValueTooLong"),
        (json!({"zone": "a", "size": 0}), "spec.size", "FieldValueInvalid"),
        (json!({"zone": "a", "size": 11}), "spec.size", "FieldValueInvalid"),
        (json!({"zone": "a", "mode": "odd"}), "spec.mode", "FieldValueNotSupported"),
        (json!({"zone": "a", "ranges": []}), "spec.ranges", "FieldValueInvalid"),
        (json!({"zone": "a", "ranges": [{}, {}, {}]}), "spec.ranges", "FieldValueTooMany"),
        (
            json!({"zone": "a", "ranges": [{"from": 1}]}),
            "spec.ranges[0].from",
            "FieldValueTypeInvalid",
        ),
        (json!({"zone": "a", "size": 9}), "spec", "FieldValueInvalid"),
    ] {
        let (code, status) = post(&server, POOLS, pool(spec.clone())).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{spec}");
        let causes = status["details"]["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{spec}: {status}");
        assert_eq!((&causes[0]["field"], &causes[0]["reason"]), (&json!(field), &json!(reason)));
    }
    let (_, status) = post(&server, POOLS, pool(json!({"zone": "a", "size": 11}))).await;
    assert_eq!(
        status["message"],
        "Pool.test.io \"one\" is invalid: spec.size: Invalid value: 11: spec.size in body should be \
         less than or equal to 10"
    );
}

#[tokio::test]
async fn rules_see_the_old_object() {
    let server = defined().await;
    let (_, object) = post(&server, POOLS, pool(json!({"zone": "a"}))).await;
    let path = format!("{POOLS}/one");
    let (code, status) =
        ask(&server, Method::PATCH, &path, MERGE, json!({"spec": {"zone": "b"}})).await;
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        "Pool.test.io \"one\" is invalid: spec: Invalid value: \"object\": zone is immutable"
    );
    let mut larger = object;
    larger["spec"]["size"] = 5.into();
    assert_eq!(put(&server, &path, larger.clone()).await.0, 200);
    larger["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(put(&server, &path, larger).await.0, 422, "an update must tell its version");
}

#[tokio::test]
async fn the_status_of_a_custom_resource_is_checked_too() {
    let server = defined().await;
    post(&server, POOLS, pool(json!({"zone": "a"}))).await;
    let path = format!("{POOLS}/one/status");
    let status = |used: Value| json!({"status": {"used": used}, "spec": {"zone": "b"}});
    let (code, object) = ask(&server, Method::PATCH, &path, MERGE, status(json!(3))).await;
    assert_eq!((code, &object["status"]["used"]), (200, &json!(3)));
    assert_eq!(
        (&object["spec"]["zone"], &object["metadata"]["generation"]),
        (&json!("a"), &json!(1))
    );
    assert_eq!(ask(&server, Method::PATCH, &path, MERGE, status(json!("x"))).await.0, 422);
    let strategic = "application/strategic-merge-patch+json";
    assert_eq!(ask(&server, Method::PATCH, &path, strategic, json!({})).await.0, 415);
}
