//! Lists: pages of one consistent snapshot.

use std::{ops::Bound, sync::Arc};

use serde_json::json;

use super::{
    http::Query,
    kind::Kind,
    object::{Key, Object},
    selector::Selector,
    status::{Cause, Failure},
    store::{Store, key_of},
};

/// The part of a collection that a request is about.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) kind: Arc<Kind>,
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
}

impl Scope {
    pub(crate) fn holds(&self, key: &Key, object: &Object) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.selector.holds(key, &object.value)
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    items: Vec<Arc<Object>>,
    version: u64,
    next: Option<Key>,
    remaining: usize,
}

impl Page {
    pub(crate) fn read(store: &Store, scope: &Scope, query: &Query) -> Result<Self, Failure> {
        let limit = query.number("limit")?.filter(|&limit| limit > 0);
        let (version, after) = match query.get("continue") {
            Some(token) => {
                if !matches!(query.get("resourceVersion"), None | Some("0")) {
                    let message = "specifying resource version is not allowed when using continue";
                    return Err(Failure::bad_request(message));
                }
                let (version, key) = read_token(token)?;
                (version, Some(key))
            }
            None => (version(store, query, limit.is_some())?, None),
        };
        let expired = |failure: Failure| match after {
            Some(_) => Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. \
                 You must start a new list without the continue parameter.",
            ),
            None => failure,
        };
        let objects = store.at(&scope.kind.resource, version).map_err(expired)?;
        let start = after.or_else(|| {
            let namespace = scope.namespace.clone()?;
            Some(Key { namespace, name: String::new() })
        });
        let start = start.map_or(Bound::Unbounded, Bound::Excluded);
        let mut selected = objects
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| scope.namespace.as_ref().is_none_or(|own| *own == key.namespace))
            .filter(|(key, object)| scope.selector.holds(key, &object.value))
            .peekable();
        let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut last = None;
        while items.len() < most
            && let Some((key, object)) = selected.next()
        {
            items.push(Arc::clone(object));
            last = Some(key);
        }
        let next = selected.peek().and(last.cloned());
        Ok(Self { items, version, next, remaining: selected.count() })
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.items.iter().map(|item| key_of(&item.value)).collect()
    }

    /// The page as a list object.
    pub(crate) fn json(&self, scope: &Scope) -> Vec<u8> {
        let Self { items, version, next, remaining } = self;
        let kind = &scope.kind;
        let mut meta = json!({"resourceVersion": version.to_string()});
        if let Some(Key { namespace, name }) = next {
            meta["continue"] = format!("{version}/{namespace}/{name}").into();
            // Nobody counts how many more a selector would select.
            if scope.selector.is_empty() {
                meta["remainingItemCount"] = (*remaining).into();
            }
        }
        let head = format!(
            "{{\"apiVersion\":\"{}\",\"kind\":\"{}List\",\"metadata\":{meta},\"items\":[",
            kind.api_version(),
            kind.kind
        );
        let mut out = head.into_bytes();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write_item(kind, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// The version that a first page shows.
fn version(store: &Store, query: &Query, limited: bool) -> Result<u64, Failure> {
    let newest = store.version();
    let asked = query.number("resourceVersion")?;
    let refused = |message: &str| {
        let cause = Cause::new("resourceVersionMatch", "FieldValueForbidden", message);
        Failure::invalid_of("ListOptions", "meta.k8s.io", "", &[cause])
    };
    let exact = match (query.get("resourceVersionMatch"), asked) {
        (None, _) => limited,
        (Some(_), None) => {
            let why =
                "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
            return Err(refused(why));
        }
        (Some("Exact"), Some(0)) => {
            let why =
                "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            return Err(refused(why));
        }
        (Some("Exact"), _) => true,
        (Some("NotOlderThan"), _) => false,
        (Some(other), _) => {
            let known = "supported values: \"Exact\", \"NotOlderThan\"";
            return Err(refused(&format!("Unsupported value: \"{other}\": {known}")));
        }
    };
    match asked {
        Some(asked) if asked > newest => Err(Failure::too_large(asked, newest)),
        Some(asked) if asked > 0 && exact => Ok(asked),
        _ => Ok(newest),
    }
}

/// A version and the last key of the page before, as `Page::json` writes them.
fn read_token(token: &str) -> Result<(u64, Key), Failure> {
    let mut words = token.splitn(3, '/');
    let mut word = || words.next();
    if let (Some(version), Some(namespace), Some(name)) = (word(), word(), word())
        && let Ok(version) = version.parse()
    {
        let key = Key { namespace: namespace.to_owned(), name: name.to_owned() };
        return Ok((version, key));
    }
    Err(Failure::bad_request("continue key is not valid"))
}
