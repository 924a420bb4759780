//! Who owns which fields: `metadata.managedFields`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};

use super::{
    shape::{List, Shape, key_of},
    store::now,
};

/// The way to a field in the words of `FieldsV1`: `f:name`, `k:{keys}`, `v:value`; an item of a list
/// is there by itself as `.` below its key.
pub(crate) type Path = Vec<String>;

/// The fields that an object consists of.
pub(crate) type Leaves<'a> = BTreeMap<Path, &'a Value>;

/// The server's own fields, which nobody owns.
const SYSTEM: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Takes an object apart.
pub(crate) fn leaves<'a>(shape: Shape<'_>, object: &'a Value) -> Leaves<'a> {
    let mut leaves = Leaves::new();
    collect(shape, object, &mut Vec::new(), &mut leaves);
    leaves.retain(|path, _| match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["f:apiVersion" | "f:kind", ..] | ["f:metadata"] => false,
        ["f:metadata", field, ..] => !SYSTEM.contains(&&field[2..]),
        _ => true,
    });
    leaves
}

fn collect<'a>(shape: Shape<'_>, value: &'a Value, path: &mut Path, leaves: &mut Leaves<'a>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !shape.is_atomic_map() => {
            for (name, field) in fields {
                path.push(format!("f:{name}"));
                collect(shape.field(name), field, path, leaves);
                path.pop();
            }
        }
        Value::Array(items) => match shape.list() {
            List::Atomic => drop(leaves.insert(path.clone(), value)),
            List::Set => {
                for item in items {
                    let step = [format!("v:{item}")];
                    leaves.insert(path.iter().cloned().chain(step).collect(), item);
                }
            }
            List::Map(keys) => {
                for item in items {
                    path.push(format!("k:{}", key_of(item, &keys)));
                    let itself = path.iter().cloned().chain([".".to_owned()]).collect();
                    leaves.insert(itself, &Value::Null);
                    collect(shape.item(), item, path, leaves);
                    path.pop();
                }
            }
        },
        _ => drop(leaves.insert(path.clone(), value)),
    }
}

/// Takes a field out of an object, and what is left empty by that.
pub(crate) fn remove(object: &mut Value, path: &[String]) {
    remove_at(object, path, 0);
}

fn remove_at(value: &mut Value, path: &[String], depth: usize) {
    let Some((step, rest)) = path.split_first() else { return };
    let (sort, name) = step.split_at(step.len().min(2));
    match (sort, value) {
        ("f:", Value::Object(fields)) => {
            let Some(field) = fields.get_mut(name) else { return };
            remove_at(field, rest, depth + 1);
            // What held only this goes with it; `spec` and its like are not below anything.
            if rest.is_empty() || depth > 0 && is_empty(field) {
                fields.remove(name);
            }
        }
        ("k:", Value::Array(items)) => {
            let Ok(Value::Object(keys)) = serde_json::from_str(name) else { return };
            let names: Vec<&str> = keys.keys().map(String::as_str).collect();
            let key = key_of(&Value::Object(keys.clone()), &names);
            let found = items.iter().position(|item| key_of(item, &names) == key);
            match (found, rest) {
                (Some(index), [itself]) if itself == "." => drop(items.remove(index)),
                (Some(index), rest) => remove_at(&mut items[index], rest, depth + 1),
                (None, _) => {}
            }
        }
        ("v:", Value::Array(items)) => {
            let gone: Option<Value> = serde_json::from_str(name).ok();
            items.retain(|item| Some(item) != gone.as_ref());
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// A path as messages tell it: `.spec.ports[port=80].name`.
pub(crate) fn shown(path: &[String]) -> String {
    let step = |step: &String| match step.split_at(step.len().min(2)) {
        ("f:", name) => format!(".{name}"),
        ("k:", keys) => format!("[{}]", keys.trim_matches(['{', '}']).replace("\":", "\"=")),
        ("v:", value) => format!("[={value}]"),
        _ => String::new(),
    };
    path.iter().map(step).collect()
}

/// Who writes, as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// Whether it applies rather than updates.
    pub(crate) applies: bool,
    pub(crate) status: bool,
}

/// What a manager owns.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) manager: Manager,
    api_version: String,
    time: Value,
    pub(crate) fields: BTreeSet<Path>,
}

impl fmt::Display for Owned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manager, api_version, time, .. } = self;
        write!(out, "{:?}", manager.name)?;
        if manager.status {
            write!(out, " with subresource \"status\"")?;
        }
        if !manager.applies {
            write!(out, " using {api_version} at {}", time.as_str().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// All owners of an object.
#[derive(Debug, Default)]
pub(crate) struct Owners(pub(crate) Vec<Owned>);

impl Owners {
    pub(crate) fn read(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let owned = entries.map(|entry| {
            let mut fields = BTreeSet::new();
            read_tree(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
            Owned {
                manager: Manager {
                    name: entry["manager"].as_str().unwrap_or_default().to_owned(),
                    applies: entry["operation"] == "Apply",
                    status: entry["subresource"] == "status",
                },
                api_version: entry["apiVersion"].as_str().unwrap_or_default().to_owned(),
                time: entry["time"].clone(),
                fields,
            }
        });
        Self(owned.collect())
    }

    pub(crate) fn json(&self) -> Value {
        let entry = |Owned { manager, api_version, time, fields }: &Owned| {
            let mut tree = json!({});
            for path in fields {
                let leaf = path.iter().fold(&mut tree, |node, step| &mut node[step]);
                *leaf = json!({});
            }
            let mut entry = json!({
                "manager": manager.name, "operation": if manager.applies { "Apply" } else { "Update" },
                "apiVersion": api_version, "time": time, "fieldsType": "FieldsV1", "fieldsV1": tree,
            });
            if manager.status {
                entry["subresource"] = "status".into();
            }
            entry
        };
        self.0.iter().map(entry).collect()
    }

    pub(crate) fn of(&self, manager: &Manager) -> Option<&Owned> {
        self.0.iter().find(|owned| owned.manager == *manager)
    }

    pub(crate) fn others(&self, manager: &Manager) -> impl Iterator<Item = &Owned> {
        self.0.iter().filter(move |owned| owned.manager != *manager)
    }

    /// Says what a manager owns from now on.
    pub(crate) fn give(&mut self, manager: &Manager, api_version: &str, fields: BTreeSet<Path>) {
        match self.0.iter_mut().find(|owned| owned.manager == *manager) {
            Some(owned) if owned.fields == fields => {}
            Some(owned) => (owned.fields, owned.time) = (fields, now()),
            None => self.0.push(Owned {
                manager: manager.clone(),
                api_version: api_version.to_owned(),
                time: now(),
                fields,
            }),
        }
        self.0.retain(|owned| !owned.fields.is_empty());
    }

    /// Takes fields from all but one.
    pub(crate) fn take(&mut self, manager: &Manager, fields: &BTreeSet<Path>) {
        for owned in self.0.iter_mut().filter(|owned| owned.manager != *manager) {
            owned.fields.retain(|path| !fields.contains(path));
        }
        self.0.retain(|owned| !owned.fields.is_empty());
    }

    /// A write that is no apply: who changes a field owns it, and nobody owns what is gone.
    pub(crate) fn update(
        &mut self,
        manager: &Manager,
        api_version: &str,
        old: &Leaves<'_>,
        new: &Leaves<'_>,
    ) {
        let changed: BTreeSet<Path> = new
            .iter()
            .filter(|&(path, value)| old.get(path) != Some(value))
            .map(|(path, _)| path.clone())
            .collect();
        let gone = old.keys().filter(|&path| !new.contains_key(path)).cloned();
        let lost = changed.iter().cloned().chain(gone).collect();
        self.take(manager, &lost);
        let mut own = self.of(manager).map(|owned| owned.fields.clone()).unwrap_or_default();
        own.retain(|path| new.contains_key(path));
        own.extend(changed);
        self.give(manager, api_version, own);
    }
}

fn read_tree(node: &Value, path: &mut Path, fields: &mut BTreeSet<Path>) {
    match node.as_object() {
        Some(steps) if !steps.is_empty() => {
            for (step, below) in steps {
                path.push(step.clone());
                read_tree(below, path, fields);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => drop(fields.insert(path.clone())),
    }
}
