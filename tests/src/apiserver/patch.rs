//! Patches: what an object becomes by one.

use serde_json::{Value, json};

use super::{
    apply::merge_list,
    kind::Kind,
    shape::{List, Shape, key_of},
    status::{Cause, Failure},
};

/// The ways to patch, by the content type of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patch {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Patch {
    pub(crate) fn of(kind: &Kind, content_type: &str) -> Result<Self, Failure> {
        match content_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            // Who merges a list by its keys must know the Go type.
            "application/strategic-merge-patch+json" if kind.schema.is_none() => {
                Ok(Self::Strategic)
            }
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unsupported(
                "application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml",
            )),
        }
    }
}

/// What `live` becomes by a patch that is not an apply.
pub(crate) fn patched(
    kind: &Kind,
    live: &Value,
    patch: Patch,
    body: &Value,
) -> Result<Value, Failure> {
    let mut object = live.clone();
    match patch {
        Patch::Json => {
            let operations: json_patch::Patch = serde_json::from_value(body.clone())
                .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut object, &operations).map_err(|error| {
                let name = live["metadata"]["name"].as_str().unwrap_or_default();
                let why = format!(
                    "the server rejected our request due to an error in our request: {error}"
                );
                Failure::invalid(kind, name, &[Cause::new("patch", "FieldValueInvalid", why)])
            })?;
        }
        Patch::Strategic => strategic(Shape::Root(kind), &mut object, body),
        Patch::Merge | Patch::Apply => json_patch::merge(&mut object, body),
    }
    if object["metadata"].is_object() {
        Ok(object)
    } else {
        Err(Failure::bad_request("the patch leaves no object with metadata"))
    }
}

/// A strategic merge patch: as a merge patch, but lists with keys merge item by item.
fn strategic(shape: Shape<'_>, live: &mut Value, patch: &Value) {
    match (live, patch) {
        (Value::Object(live), Value::Object(patch))
            if patch.get("$patch") != Some(&json!("replace")) =>
        {
            for (name, value) in patch {
                if value.is_null() {
                    live.remove(name);
                } else {
                    let field = live.entry(name.as_str()).or_insert(Value::Null);
                    strategic(shape.field(name), field, value);
                }
            }
        }
        (Value::Array(live), Value::Array(patch)) => match shape.list() {
            List::Map(keys) => {
                for item in patch {
                    let key = key_of(item, &keys);
                    let found = live.iter().position(|other| key_of(other, &keys) == key);
                    match found {
                        Some(index) if item["$patch"] == "delete" => drop(live.remove(index)),
                        Some(index) => strategic(shape.item(), &mut live[index], item),
                        None => live.push(item.clone()),
                    }
                }
            }
            List::Set | List::Atomic => merge_list(shape, live, patch),
        },
        (live, patch) => {
            *live = patch.clone();
            if let Some(fields) = live.as_object_mut() {
                fields.retain(|name, value| name != "$patch" && !value.is_null());
            }
        }
    }
}
