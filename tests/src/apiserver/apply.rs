//! Server-side apply: a manager says all that it wants of an object, and owns that.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    fields::{self, Manager, Owners, Path, leaves},
    kind::Kind,
    shape::{List, Shape, key_of},
    status::{Cause, Failure},
};

/// The object that follows from `live` when `manager` applies `config`.
pub(crate) fn apply(
    kind: &Kind,
    live: &Value,
    config: &Value,
    manager: &Manager,
    force: bool,
) -> Result<Value, Failure> {
    let shape = Shape::Root(kind);
    let mut owners = Owners::read(live);
    let wanted = leaves(shape, config);
    let present = leaves(shape, live);
    let differs = |path: &Path| wanted.get(path) != present.get(path);
    let mut causes = Vec::new();
    for other in owners.others(manager) {
        for path in other.fields.iter().filter(|&path| wanted.contains_key(path) && differs(path)) {
            causes.push(Cause::new(
                &fields::shown(path),
                "FieldManagerConflict",
                format!("conflict with {other}"),
            ));
        }
    }
    if !causes.is_empty() && !force {
        return Err(Failure::owned(&causes));
    }
    let wanted_paths: BTreeSet<Path> = wanted.keys().cloned().collect();
    let taken = wanted_paths.iter().filter(|&path| differs(path)).cloned().collect();
    owners.take(manager, &taken);

    let mut merged = live.clone();
    merge(shape, &mut merged, config);
    let before = owners.of(manager).map(|owned| owned.fields.clone()).unwrap_or_default();
    // In order: an item goes before its fields, while its keys are there to find it by.
    for path in before.difference(&wanted_paths) {
        let item = path.strip_suffix(&[".".to_owned()]);
        let needed = owners.others(manager).any(|other| match item {
            Some(item) => other.fields.iter().any(|field| field.starts_with(item)),
            None => other.fields.contains(path),
        });
        if !needed {
            fields::remove(&mut merged, path);
        }
    }
    owners.give(manager, &kind.api_version(), wanted_paths);
    merged["metadata"]["managedFields"] = owners.json();
    Ok(merged)
}

/// Lays `config` over `live`.
fn merge(shape: Shape<'_>, live: &mut Value, config: &Value) {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !shape.is_atomic_map() => {
            for (name, value) in config {
                let field = live.entry(name.as_str()).or_insert(Value::Null);
                merge(shape.field(name), field, value);
            }
        }
        (Value::Array(live), Value::Array(config)) => merge_list(shape, live, config),
        (live, config) => *live = config.clone(),
    }
}

pub(crate) fn merge_list(shape: Shape<'_>, live: &mut Vec<Value>, config: &[Value]) {
    match shape.list() {
        List::Atomic => config.clone_into(live),
        List::Set => {
            let new: Vec<Value> =
                config.iter().filter(|&item| !live.contains(item)).cloned().collect();
            live.extend(new);
        }
        List::Map(keys) => {
            for item in config {
                let key = key_of(item, &keys);
                match live.iter_mut().find(|other| key_of(other, &keys) == key) {
                    Some(other) => merge(shape.item(), other, item),
                    None => live.push(item.clone()),
                }
            }
        }
    }
}
