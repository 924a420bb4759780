//! What custom resources are checked against: a structural `OpenAPI` schema. Defaults and CEL rules
//! are `kube-cel`'s work.

use std::{collections::BTreeMap, fmt};

use kube_cel::{CompiledSchema, Validator, apply_defaults, compile_schema};
use regex::Regex;
use serde_json::{Map, Value};

use super::status::Cause;

/// The schema of a version of a custom resource.
pub(crate) struct Schema {
    root: Value,
    rules: CompiledSchema,
    /// Compiled once: an object has many texts.
    patterns: BTreeMap<String, Regex>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Schema").field(&self.root).finish()
    }
}

impl Schema {
    pub(crate) fn new(root: Value) -> Self {
        let mut patterns = BTreeMap::new();
        collect_patterns(&root, &mut patterns);
        Self { rules: compile_schema(&root), root, patterns }
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Takes away what the schema does not know and returns the names, then adds the defaults.
    pub(crate) fn prune_and_default(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        prune(&self.root, object, "", &mut unknown);
        *object = apply_defaults(&self.root, object);
        unknown
    }

    /// What is wrong with an object that was `old` before.
    pub(crate) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = Vec::new();
        self.check_node(&self.root, object, "", &mut causes);
        if !causes.is_empty() {
            return causes;
        }
        // Rules may rely on types, so they are looked at last, as Kubernetes does.
        let broken = Validator::new().validate_compiled(&self.rules, object, old);
        let broken = broken.err().map(kube_cel::ValidationErrors::into_vec).unwrap_or_default();
        broken
            .into_iter()
            .map(|error| {
                let field = error.field_path.trim_start_matches('.');
                let reason = match error.reason.as_deref() {
                    Some("FieldValueRequired") => "FieldValueRequired",
                    Some("FieldValueForbidden") => "FieldValueForbidden",
                    Some("FieldValueDuplicate") => "FieldValueDuplicate",
                    _ => "FieldValueInvalid",
                };
                let shown = name_of(object.pointer(&pointer(field)).unwrap_or(&Value::Null));
                Cause::new(field, reason, format!("Invalid value: \"{shown}\": {}", error.message))
            })
            .collect()
    }

    fn check_node(&self, schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if !has_type(schema, value) {
            let shown = name_of(value);
            let want = schema["type"].as_str().unwrap_or_default();
            causes.push(Cause::new(
                path,
                "FieldValueTypeInvalid",
                format!(
                    "Invalid value: \"{shown}\": {path} in body must be of type {want}: \"{shown}\""
                ),
            ));
            return;
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
        {
            let known: Vec<String> = known.iter().map(Value::to_string).collect();
            let message =
                format!("Unsupported value: {value}: supported values: {}", known.join(", "));
            causes.push(Cause::new(path, "FieldValueNotSupported", message));
        }
        self.check_junctors(schema, value, path, causes);
        match value {
            Value::String(text) => self.check_text(schema, text, path, causes),
            Value::Number(_) => check_number(schema, value, path, causes),
            Value::Array(items) => {
                check_size(schema, items.len(), "Items", "items", path, causes);
                check_keys(schema, items, path, causes);
                for (index, item) in items.iter().enumerate() {
                    self.check_node(&schema["items"], item, &format!("{path}[{index}]"), causes);
                }
            }
            Value::Object(fields) => {
                check_size(schema, fields.len(), "Properties", "properties", path, causes);
                self.check_fields(schema, fields, path, causes);
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        path: &str,
        causes: &mut Vec<Cause>,
    ) {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                causes.push(Cause::required(&join(path, name)));
            }
        }
        for (name, field) in fields {
            let node = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            if node.is_object() {
                self.check_node(node, field, &join(path, name), causes);
            }
        }
    }

    fn check_text(&self, schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
        let length = text.chars().count();
        check_size(schema, length, "Length", "chars", path, causes);
        if let Some(pattern) = schema["pattern"].as_str()
            && self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            let why = format!("{path} in body should match '{pattern}'");
            causes.push(Cause::invalid(path, &text.into(), &why));
        }
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`.
    fn check_junctors(&self, schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        let fits = |node: &Value| {
            let mut causes = Vec::new();
            self.check_node(node, value, path, &mut causes);
            causes.is_empty()
        };
        let count = |nodes: &Vec<Value>| nodes.iter().filter(|&node| fits(node)).count();
        for node in schema["allOf"].as_array().into_iter().flatten() {
            self.check_node(node, value, path, causes);
        }
        let mut fail = |what: &str| {
            let why = format!("{path} in body must {what}");
            causes.push(Cause::invalid(path, value, &why));
        };
        if schema["anyOf"].as_array().map(count) == Some(0) {
            fail("validate at least one schema (anyOf)");
        }
        if schema["oneOf"].as_array().map(count).is_some_and(|fitting| fitting != 1) {
            fail("validate one and only one schema (oneOf)");
        }
        if schema["not"].is_object() && fits(&schema["not"]) {
            fail("not validate the schema (not)");
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let mut fail = |than: &str, bound: &Value| {
        let why = format!("{path} in body should be {than} {bound}");
        causes.push(Cause::invalid(path, value, &why));
    };
    let (least, most) = (&schema["minimum"], &schema["maximum"]);
    match (least.as_f64(), schema["exclusiveMinimum"] == true) {
        (Some(bound), true) if number <= bound => fail("greater than", least),
        (Some(bound), false) if number < bound => fail("greater than or equal to", least),
        _ => {}
    }
    match (most.as_f64(), schema["exclusiveMaximum"] == true) {
        (Some(bound), true) if number >= bound => fail("less than", most),
        (Some(bound), false) if number > bound => fail("less than or equal to", most),
        _ => {}
    }
}

/// `minLength` and `maxLength`, and the same of items and properties.
fn check_size(
    schema: &Value,
    size: usize,
    what: &str,
    unit: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let size = size as u64;
    if let Some(least) = schema[format!("min{what}")].as_u64()
        && size < least
    {
        let long = if unit == "chars" { " long" } else { "" };
        let should = if unit == "chars" { "be" } else { "have" };
        let why = format!("{path} in body should {should} at least {least} {unit}{long}");
        causes.push(Cause::new(path, "FieldValueInvalid", format!("Invalid value: {size}: {why}")));
    }
    if let Some(most) = schema[format!("max{what}")].as_u64()
        && size > most
    {
        causes.push(if unit == "chars" {
            let message = format!("Too long: may not be more than {most} bytes");
            Cause::new(path, "FieldValueTooLong", message)
        } else {
            let message = format!("Too many: {size}: must have at most {most} {unit}");
            Cause::new(path, "FieldValueTooMany", message)
        });
    }
}

/// The items of a map written as a list, or of a set, differ in their keys.
fn check_keys(schema: &Value, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let key = |item: &Value| -> Value {
        match schema["x-kubernetes-list-map-keys"].as_array() {
            Some(keys) => keys.iter().filter_map(|key| item.get(key.as_str()?).cloned()).collect(),
            None => item.clone(),
        }
    };
    if !matches!(schema["x-kubernetes-list-type"].as_str(), Some("map" | "set")) {
        return;
    }
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| key(earlier) == key(item)) {
            let message = format!("Duplicate value: {item}");
            causes.push(Cause::new(&format!("{path}[{index}]"), "FieldValueDuplicate", message));
        }
    }
}

fn prune(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let root = path.is_empty() || schema["x-kubernetes-embedded-resource"] == true;
            let typed = |name: &str| root && matches!(name, "apiVersion" | "kind" | "metadata");
            let others = &schema["additionalProperties"];
            let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true
                || others.is_object()
                || *others == true;
            fields.retain(|name, _| {
                let known = keeps || typed(name) || schema["properties"].get(name).is_some();
                if !known {
                    unknown.push(join(path, name));
                }
                known
            });
            for (name, field) in fields.iter_mut().filter(|(name, _)| !typed(name)) {
                let node = schema["properties"].get(name).unwrap_or(others);
                if node.is_object() {
                    prune(node, field, &join(path, name), unknown);
                }
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            for (index, item) in items.iter_mut().enumerate() {
                prune(&schema["items"], item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// An expression that Rust can not read is not looked at.
fn collect_patterns(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(regex) = Regex::new(pattern)
    {
        patterns.insert(pattern.to_owned(), regex);
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|node| collect_patterns(node, patterns)),
        Value::Array(items) => items.iter().for_each(|node| collect_patterns(node, patterns)),
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// `spec.ports[0]` as a JSON pointer.
fn pointer(path: &str) -> String {
    let words = path.split(['.', '[', ']']).filter(|word| !word.is_empty());
    words.flat_map(|word| ["/", word]).collect()
}

/// The name of a value's type, as messages tell it.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
