//! Label selectors: which nodes, namespaces and pods something is for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Expression, Selector};

use super::error::{Invalid, Problem};

/// What a selector selects, for [`kube::core::SelectorExt::matches`]. One that is absent or empty
/// selects everything. `field` is the selector's path, for errors.
pub fn selector(field: &str, selector: Option<&LabelSelector>) -> Result<Selector, Invalid> {
    let Some(LabelSelector { match_labels, match_expressions }) = selector else {
        return Ok(Selector::default());
    };
    let labels = match_labels.iter().flatten();
    let equal = labels.map(|(key, value)| Ok(Expression::Equal(key.clone(), value.clone())));
    let conditions = match_expressions.iter().flatten().enumerate().map(|(index, requirement)| {
        expression(requirement)
            .map_err(|problem| problem.at(format!("{field}.matchExpressions[{index}]")))
    });
    equal.chain(conditions).collect()
}

/// `kube` has a conversion of its own, which takes conditions that Kubernetes refuses.
fn expression(requirement: &LabelSelectorRequirement) -> Result<Expression, Problem> {
    let LabelSelectorRequirement { key, operator, values } = requirement;
    let values = values.as_deref().unwrap_or_default();
    let set = || values.iter().cloned().collect();
    let key = key.clone();
    match (operator.as_str(), values) {
        ("In", [_, ..]) => Ok(Expression::In(key, set())),
        ("NotIn", [_, ..]) => Ok(Expression::NotIn(key, set())),
        ("Exists", []) => Ok(Expression::Exists(key)),
        ("DoesNotExist", []) => Ok(Expression::DoesNotExist(key)),
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {
            Err(Problem::Values { operator: operator.clone(), count: values.len() })
        }
        _ => Err(Problem::form(operator, "one of In, NotIn, Exists and DoesNotExist")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt as _;
    use serde_json::json;

    use super::*;

    fn read(selector: serde_json::Value) -> LabelSelector {
        serde_json::from_value(selector).expect("selector")
    }

    fn matches(value: serde_json::Value, labels: &str) -> bool {
        let labels: BTreeMap<String, String> = labels
            .split_whitespace()
            .map(|label| label.split_once('=').expect("key=value"))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        selector("spec.nodeSelector", Some(&read(value))).expect("valid").matches(&labels)
    }

    fn condition(operator: &str, values: &[&str]) -> serde_json::Value {
        json!({"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]})
    }

    #[test]
    fn all_conditions_must_hold() {
        assert!(selector("f", None).expect("none").matches(&BTreeMap::new()));
        assert!(matches(json!({}), ""));
        assert!(matches(json!({}), "zone=a"));
        let both = json!({
            "matchLabels": {"zone": "a"},
            "matchExpressions": [{"key": "gpu", "operator": "Exists"}],
        });
        assert!(matches(both.clone(), "zone=a gpu=1 other=x"));
        assert!(!matches(both.clone(), "zone=a"));
        assert!(!matches(both.clone(), "zone=b gpu=1"));
        assert!(!matches(both, ""));
    }

    #[test]
    fn conditions_are_those_of_kubernetes() {
        // What is expected without the label, with zone=a, and with zone=c.
        for (operator, values, expected) in [
            ("In", &["a", "b"][..], [false, true, false]),
            ("NotIn", &["a", "b"], [true, false, true]),
            ("Exists", &[], [false, true, true]),
            ("DoesNotExist", &[], [true, false, false]),
        ] {
            let found =
                ["", "zone=a", "zone=c"].map(|labels| matches(condition(operator, values), labels));
            assert_eq!(found, expected, "{operator}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for (operator, values, expected) in [
            ("In", &[][..], "operator In with 0 values; In and NotIn need some"),
            ("NotIn", &[], "operator NotIn with 0 values"),
            ("Exists", &["a"], "operator Exists with 1 values"),
            ("Gt", &["1"], "\"Gt\" is not valid; expected one of In, NotIn, Exists"),
        ] {
            let error = selector("spec.nodeSelector", Some(&read(condition(operator, values))));
            let error = error.expect_err(operator).to_string();
            let start = format!("spec.nodeSelector.matchExpressions[0]: {expected}");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
