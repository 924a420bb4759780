//! Which objects a list or a watch is about: selectors of labels and of fields.

use serde_json::Value;

use super::{kind::Kind, object::Key, status::Failure};

/// What objects must match, all of it.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<(String, Match)>,
    fields: Vec<(String, Match)>,
}

#[derive(Debug)]
enum Match {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

impl Match {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(wanted) => value.is_some_and(|value| wanted.iter().any(|one| one == value)),
            Self::NotIn(unwanted) => {
                value.is_none_or(|value| unwanted.iter().all(|one| one != value))
            }
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::Above(bound) => number().is_some_and(|number| number > *bound),
            Self::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl Selector {
    /// Reads both selectors of a request.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).map(requirement).collect::<Result<_, _>>()?;
        let fields: Vec<(String, Match)> =
            split(fields).map(requirement).collect::<Result<_, _>>()?;
        for (field, _) in &fields {
            let known = matches!(field.as_str(), "metadata.name" | "metadata.namespace");
            if !known && !kind.fields.contains(field) {
                let message = format!("field label not supported: {field}");
                return Err(Failure::bad_request(message));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn holds(&self, key: &Key, object: &Value) -> bool {
        let Self { labels, fields } = self;
        let label = |name: &str| object["metadata"]["labels"].get(name).and_then(Value::as_str);
        labels.iter().all(|(name, wanted)| wanted.holds(label(name)))
            && fields.iter().all(|(path, wanted)| match path.as_str() {
                "metadata.name" => wanted.holds(Some(&key.name)),
                "metadata.namespace" => wanted.holds(Some(&key.namespace)),
                path => wanted.holds(Some(&field(object, path))),
            })
    }
}

/// A field as a text; one that is missing is an empty text to a selector.
fn field(object: &Value, path: &str) -> String {
    match path.split('.').fold(object, |value, name| &value[name]) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The requirements: commas part them, but not those within parentheses.
fn split(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = selector.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn requirement(text: &str) -> Result<(String, Match), Failure> {
    let one = |value: &str| vec![value.trim().to_owned()];
    let unreadable =
        || Failure::bad_request(format!("unable to parse requirement: {text:?} is no selector"));
    let (name, matched) = if let Some(name) = text.strip_prefix('!') {
        (name, Match::Missing)
    } else if let Some((head, values)) =
        text.strip_suffix(')').and_then(|rest| rest.split_once('('))
    {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match head.trim().rsplit_once(' ').ok_or_else(unreadable)? {
            (name, "in") => (name, Match::In(values)),
            (name, "notin") => (name, Match::NotIn(values)),
            _ => return Err(unreadable()),
        }
    } else if let Some((name, value)) = text.split_once("!=") {
        (name, Match::NotIn(one(value)))
    } else if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (name, Match::In(one(value)))
    } else if let Some((name, value)) = text.split_once('>') {
        (name, Match::Above(value.trim().parse().map_err(|_| unreadable())?))
    } else if let Some((name, value)) = text.split_once('<') {
        (name, Match::Below(value.trim().parse().map_err(|_| unreadable())?))
    } else {
        (text, Match::Exists)
    };
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(unreadable());
    }
    Ok((name.to_owned(), matched))
}
