//! Lists of Services, item by item: one that is not understood does not keep the others away.

use serde_json::Value;

use super::ServiceSpec;

/// A Service, or what is in its place.
pub type Item = Result<ServiceSpec, Unreadable>;

/// An item of a list that is no Service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Unreadable {
    /// What it is called, as far as it says; else its place in the list.
    pub name: String,
    /// The field's path inside the item.
    pub field: String,
    /// What was found, what was expected.
    pub problem: String,
}

/// The Services of a list; what is no list is one Service.
#[must_use]
pub fn items(value: Value) -> Vec<Item> {
    let list = match value {
        Value::Array(list) => list,
        other => vec![other],
    };
    list.into_iter().enumerate().map(|(at, value)| item(at, value)).collect()
}

fn item(at: usize, value: Value) -> Item {
    let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
    serde_path_to_error::deserialize(value).map_err(|error| Unreadable {
        name: name.unwrap_or_else(|| format!("[{at}]")),
        field: error.path().to_string(),
        problem: error.inner().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_bad_item_leaves_the_others() {
        let list = json!([
            {"name": "a/a", "ports": [{"port": 80}]},
            {"name": "a/b", "ports": [{"port": 80}, {"port": 70000}]},
            {"name": "a/c", "port": []},
            {"name": "nothing"},
            7,
        ]);
        let items = items(list);
        assert_eq!(items[0].as_ref().map(|spec| spec.name.as_str()), Ok("a/a"));
        let bad: Vec<_> = items[1..].iter().filter_map(|item| item.as_ref().err()).collect();
        let names: Vec<_> = bad.iter().map(|it| (it.name.as_str(), it.field.as_str())).collect();
        let expected =
            [("a/b", "ports[1].port"), ("a/c", "port"), ("nothing", "name"), ("[4]", ".")];
        assert_eq!(names, expected);
        assert!(bad[1].problem.contains("unknown field"), "{}", bad[1]);
        assert_eq!(super::items(json!({"name": "a/a"})).len(), 1);
    }
}
