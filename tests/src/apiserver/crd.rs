//! Definitions of custom resources: what they add to the kinds that are served.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    kind::{Kind, resource},
    schema::Schema,
    status::Cause,
    store::now,
};

/// The collection of definitions.
pub(crate) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Says that the names are accepted and the kinds served, as the server does at once.
pub(crate) fn accept(definition: &mut Value) {
    let spec = &definition["spec"];
    let mut names = spec["names"].clone();
    if names["listKind"].is_null() {
        names["listKind"] = format!("{}List", text(&names["kind"])).into();
    }
    if names["singular"].is_null() {
        names["singular"] = text(&names["kind"]).to_lowercase().into();
    }
    let versions = spec["versions"].as_array().into_iter().flatten();
    let stored: Vec<Value> = versions
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let old = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let condition = |name: &str, reason: &str, message: &str| {
        let since = old.iter().find(|condition| condition["type"] == *name);
        let since = since.map_or_else(now, |condition| condition["lastTransitionTime"].clone());
        json!({
            "type": name, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": since,
        })
    };
    definition["status"] = json!({
        "acceptedNames": names,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": stored,
    });
}

/// The kinds of a definition: every version that is served.
pub(crate) fn kinds(definition: &Value) -> Vec<Arc<Kind>> {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true);
    served.map(|version| Arc::new(kind(spec, names, version))).collect()
}

fn kind(spec: &Value, names: &Value, version: &Value) -> Kind {
    let (plural, group) = (text(&names["plural"]), text(&spec["group"]));
    let list = |value: &Value, read: fn(&Value) -> &str| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|one| read(one).to_owned()).collect()
    };
    Kind {
        resource: resource(&plural, &group),
        group,
        version: text(&version["name"]),
        plural,
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        short_names: list(&names["shortNames"], |name| name.as_str().unwrap_or_default()),
        namespaced: spec["scope"] == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        fields: list(&version["selectableFields"], |field| {
            field["jsonPath"].as_str().unwrap_or_default().trim_start_matches('.')
        }),
        schema: Some(Schema::new(version["schema"]["openAPIV3Schema"].clone())),
    }
}

/// What is wrong with a definition; schemas are taken as they are.
pub(crate) fn check(definition: &Value) -> Vec<Cause> {
    let spec = &definition["spec"];
    let mut causes = Vec::new();
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.scope", &spec["scope"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
    ] {
        if text(value).is_empty() {
            causes.push(Cause::required(field));
        }
    }
    let name = &definition["metadata"]["name"];
    let wanted = resource(&text(&spec["names"]["plural"]), &text(&spec["group"]));
    if causes.is_empty() && name.as_str() != Some(&*wanted) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", name, why));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::new(
                &field,
                "FieldValueRequired",
                "Required value: schemas are required",
            ));
        }
    }
    causes
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
