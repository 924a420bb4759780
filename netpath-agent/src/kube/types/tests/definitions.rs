//! The definitions, as files and as Kubernetes takes them.

use std::{collections::BTreeSet, path::Path};

use clap::ValueEnum as _;
use serde_json::Value;

use super::super::{all, files};
use crate::attachment::Attachment;

#[test]
fn committed_files_are_what_is_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    let anew =
        "write them anew: cargo run -p netpath-agent --bin netpath-agent -- crds --out deploy/crds";
    let mut expected = BTreeSet::new();
    for file in files().expect("YAML") {
        let committed = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(committed == file.text, "deploy/crds/{} is old; {anew}", file.name);
        expected.insert(file.name);
    }
    let found = folder.read_dir().expect("folder").map(|entry| entry.expect("entry").file_name());
    let found: BTreeSet<_> = found.map(|name| name.into_string().expect("text")).collect();
    assert_eq!(found, expected, "deploy/crds has other files; {anew}");
}

#[test]
fn files_say_what_the_definitions_say() {
    for (file, crd) in files().expect("YAML").iter().zip(all()) {
        let read: Value = serde_saphyr::from_str(&file.text).expect("YAML");
        assert_eq!(read, serde_json::to_value(&crd).expect("JSON"), "{}", file.name);
    }
}

#[test]
fn kinds_are_called_as_documented() {
    let found: Vec<String> = all()
        .iter()
        .map(|crd| {
            let names = &crd.spec.names;
            assert_eq!(crd.spec.group, "netpath.io");
            assert_eq!(crd.spec.versions[0].name, "v1alpha1");
            assert_eq!(names.categories, Some(vec!["netpath".to_owned()]));
            let short = names.short_names.as_ref().expect("short name");
            format!("{} {} {} {}", names.kind, names.plural, short.join(","), crd.spec.scope)
        })
        .collect();
    assert_eq!(
        found,
        [
            "IPPool ippools nppool Cluster",
            "IPBlock ipblocks npblock Cluster",
            "FixedIP fixedips npfip Namespaced",
            "Network networks npnet Cluster",
            "NodeNetwork nodenetworks npnode Cluster",
        ]
    );
}

#[test]
fn schemas_are_structural_and_explained() {
    for crd in all() {
        let root = serde_json::to_value(&crd.spec.versions[0].schema).expect("JSON");
        let root = &root["openAPIV3Schema"];
        for part in ["spec", "status"] {
            if let Some(schema) = root["properties"].get(part) {
                walk(schema, &format!("{} {part}", crd.spec.names.kind));
            }
        }
    }
}

fn walk(schema: &Value, path: &str) {
    for word in ["$ref", "anyOf", "oneOf", "allOf", "nullable", "title"] {
        assert!(schema.get(word).is_none(), "{path} has {word}");
    }
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    assert!(schema["type"].is_string() || int_or_string, "{path} has no type");
    let known = ["int32", "int64", "date-time"];
    let format = schema["format"].as_str();
    assert!(format.is_none_or(|format| known.contains(&format)), "{path}: {format:?}");
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        assert!(property["description"].is_string(), "{path} is not explained");
        walk(property, &path);
    }
}

#[test]
fn attachments_are_those_that_there_are() {
    let crds = all();
    let network = serde_json::to_value(&crds[3].spec.versions[0].schema).expect("JSON");
    let field = "/openAPIV3Schema/properties/spec/properties/attachment/enum";
    let names: Vec<_> = Attachment::value_variants().iter().map(|it| it.name()).collect();
    assert_eq!(network.pointer(field), Some(&serde_json::json!(names)));
}
