//! What only the server writes: uids, times, generations; and the names that it admits.

use serde_json::Value;

use super::{
    kind::Kind,
    object::{Object, set, set_meta},
    status::{Cause, Failure},
    store::{Store, now},
};

/// Sets what an object has from its beginning.
pub(crate) fn begin(store: &mut Store, object: &mut Value, before: Option<&Object>) {
    let old = |field: &str| before.and_then(|before| before.value["metadata"].get(field).cloned());
    let uid = old("uid").unwrap_or_else(|| store.random_uid().into());
    set_meta(object, "uid", Some(uid));
    set_meta(object, "creationTimestamp", Some(old("creationTimestamp").unwrap_or_else(now)));
    set_meta(object, "generation", Some(old("generation").unwrap_or_else(|| 1.into())));
}

/// Puts back what only the server writes.
pub(crate) fn restore(object: &mut Value, old: &Value, applied: bool) {
    let fields = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    let managed = (!applied).then_some("managedFields");
    for field in fields.into_iter().chain(managed) {
        set_meta(object, field, old["metadata"].get(field).cloned());
    }
}

/// Whether what an object should be has changed, rather than what is known of it.
pub(crate) fn generation_moves(kind: &Kind, old: &Value, new: &Value) -> bool {
    let wanted = |object: &Value| {
        let mut object = object.clone();
        for field in ["apiVersion", "kind", "metadata"] {
            set(&mut object, field, None);
        }
        if kind.status {
            set(&mut object, "status", None);
        }
        object
    };
    wanted(old) != wanted(new)
}

/// What an object should be has changed.
pub(crate) fn bump_generation(object: &mut Value) {
    let next = object["metadata"]["generation"].as_u64().unwrap_or_default() + 1;
    set_meta(object, "generation", Some(next.into()));
}

/// What holds an object when it is deleted.
pub(crate) fn finalizers(object: &Value) -> &[Value] {
    object["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Most names are DNS names; those of RBAC need only fit into a path.
pub(crate) fn check_name(kind: &Kind, name: &str) -> Result<(), Failure> {
    let edge = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let good = if kind.group == "rbac.authorization.k8s.io" {
        !matches!(name, "." | "..") && !name.contains(['/', '%'])
    } else {
        name.len() <= 253
            && name.starts_with(edge)
            && name.ends_with(edge)
            && name.chars().all(|letter| edge(letter) || matches!(letter, '-' | '.'))
    };
    let cause = if name.is_empty() {
        let message = "Required value: name or generateName is required";
        Cause::new("metadata.name", "FieldValueRequired", message)
    } else if good {
        return Ok(());
    } else {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                   characters, '-' or '.', and must start and end with an alphanumeric character";
        Cause::invalid("metadata.name", &name.into(), why)
    };
    Err(Failure::invalid(kind, name, &[cause]))
}
