//! How the parts of an object merge: whether a list is one value, a set, or a map by keys. A custom
//! resource's schema tells; of Kubernetes' own kinds the lists are known that netpath meets.

use serde_json::{Value, json};

use super::kind::Kind;

/// A place in an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    Root(&'a Kind),
    /// A node of a schema; null is one that the schema says nothing of.
    Schema(&'a Value),
    /// A field of one of Kubernetes' own kinds.
    Known {
        kind: &'a str,
        field: &'a str,
    },
}

/// How a list merges.
#[derive(Debug)]
pub(crate) enum List<'a> {
    Atomic,
    Set,
    Map(Vec<&'a str>),
}

impl<'a> Shape<'a> {
    pub(crate) fn field(self, name: &'a str) -> Self {
        match self {
            Self::Root(Kind { schema: Some(schema), .. }) if name != "metadata" => {
                Self::Schema(schema.root()).field(name)
            }
            Self::Root(kind) => Self::Known { kind: &kind.kind, field: name },
            Self::Schema(node) => {
                let node = node["properties"].get(name).unwrap_or(&node["additionalProperties"]);
                Self::Schema(node)
            }
            Self::Known { kind, .. } => Self::Known { kind, field: name },
        }
    }

    pub(crate) fn item(self) -> Self {
        match self {
            Self::Schema(node) => Self::Schema(&node["items"]),
            other => other,
        }
    }

    /// Whether a map is owned as a whole.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::Root(_) => false,
            Self::Schema(node) => node["x-kubernetes-map-type"] == "atomic",
            Self::Known { field, .. } => {
                matches!(field, "selector" | "nodeSelector" | "resourceFieldRef" | "targetRef")
            }
        }
    }

    pub(crate) fn list(self) -> List<'a> {
        match self {
            Self::Root(_) => List::Atomic,
            Self::Schema(node) => match node["x-kubernetes-list-type"].as_str() {
                Some("map") => {
                    let keys = node["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                    List::Map(keys.filter_map(Value::as_str).collect())
                }
                Some("set") => List::Set,
                _ => List::Atomic,
            },
            Self::Known { kind, field } => match (kind, field) {
                (_, "finalizers") => List::Set,
                (_, "ownerReferences") => List::Map(vec!["uid"]),
                (_, "conditions") | ("Node", "addresses") => List::Map(vec!["type"]),
                ("Service", "ports") => List::Map(vec!["port", "protocol"]),
                ("Pod" | "DaemonSet" | "Deployment" | "StatefulSet", field) => match field {
                    "ports" => List::Map(vec!["containerPort", "protocol"]),
                    "volumeMounts" => List::Map(vec!["mountPath"]),
                    "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => {
                        List::Map(vec!["name"])
                    }
                    "podIPs" | "hostIPs" => List::Map(vec!["ip"]),
                    _ => List::Atomic,
                },
                _ => List::Atomic,
            },
        }
    }
}

/// What tells an item of a list from the others.
pub(crate) fn key_of(item: &Value, keys: &[&str]) -> Value {
    let value = |&key: &&str| match (&item[key], key) {
        // The default of the one key that has one.
        (Value::Null, "protocol") => (key.to_owned(), json!("TCP")),
        (value, _) => (key.to_owned(), value.clone()),
    };
    Value::Object(keys.iter().map(value).collect())
}
