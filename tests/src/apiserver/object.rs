//! A stored object, written as JSON once however many read it.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Value, json};

use super::kind::Kind;

/// Where an object is in its collection; the namespace is empty in a cluster-wide one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object without `apiVersion` and `kind`: those depend on who asks, as a custom resource is
/// served in several versions.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    json: OnceLock<Bytes>,
}

impl Object {
    /// Takes the type away and sets the version.
    pub(crate) fn new(mut value: Value, version: u64) -> Self {
        if let Some(fields) = value.as_object_mut() {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        value["metadata"]["resourceVersion"] = version.to_string().into();
        Self { value, json: OnceLock::new() }
    }

    pub(crate) fn meta(&self, field: &str) -> &str {
        meta(&self.value, field)
    }

    /// The object as its readers know it.
    pub(crate) fn typed(&self, kind: &Kind) -> Value {
        let mut value = self.value.clone();
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.kind.as_str().into();
        value
    }

    /// Writes the object with its type.
    pub(crate) fn write(&self, kind: &Kind, out: &mut Vec<u8>) {
        let head =
            format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", kind.api_version(), kind.kind);
        out.extend_from_slice(head.as_bytes());
        // There is always metadata after the brace.
        out.extend_from_slice(&self.json()[1..]);
    }

    /// Writes the object as an item of a list, where only custom resources tell their type.
    pub(crate) fn write_item(&self, kind: &Kind, out: &mut Vec<u8>) {
        if kind.schema.is_some() {
            self.write(kind, out);
        } else {
            out.extend_from_slice(self.json());
        }
    }

    fn json(&self) -> &Bytes {
        self.json.get_or_init(|| self.value.to_string().into())
    }
}

/// A text in the metadata, empty if there is none.
pub(crate) fn meta<'a>(value: &'a Value, field: &str) -> &'a str {
    value["metadata"][field].as_str().unwrap_or_default()
}

/// Puts a field of the metadata back as it was, or takes it away.
pub(crate) fn set_meta(value: &mut Value, field: &str, to: Option<Value>) {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    set(&mut value["metadata"], field, to);
}

/// Sets a field of an object or takes it away.
pub(crate) fn set(object: &mut Value, field: &str, to: Option<Value>) {
    match to {
        Some(to) => object[field] = to,
        None => drop(object.as_object_mut().and_then(|fields| fields.remove(field))),
    }
}

/// Whether two objects are the same but for their version and when their fields were written.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        set(&mut value, "apiVersion", None);
        set(&mut value, "kind", None);
        set_meta(&mut value, "resourceVersion", None);
        for entry in value["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            set(entry, "time", None);
        }
        value
    };
    bare(one) == bare(other)
}
