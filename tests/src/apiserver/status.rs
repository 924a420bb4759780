//! What went wrong, in the words of Kubernetes: a `Status` object.

use serde_json::{Value, json};

use super::kind::Kind;

/// One thing wrong with one field.
#[derive(Debug)]
pub(crate) struct Cause {
    pub(crate) field: String,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn new(field: &str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason, message: message.into() }
    }

    pub(crate) fn required(field: &str) -> Self {
        Self::new(field, "FieldValueRequired", "Required value")
    }

    pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: {value}: {why}"))
    }

    fn json(&self) -> Value {
        let Self { field, reason, message } = self;
        json!({"field": field, "reason": reason, "message": message})
    }
}

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    fn of(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "group": kind.group, "kind": kind.plural});
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(kind: &Kind, name: &str, cause: &Cause) -> Self {
        let Cause { field, message, .. } = cause;
        let message = format!("{} \"{name}\" is forbidden: {field}: {message}", kind.resource);
        Self::new(403, "Forbidden", message).of(kind, name)
    }

    /// A path that leads nowhere.
    pub(crate) fn no_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource);
        Self::new(404, "NotFound", message).of(kind, name)
    }

    pub(crate) fn no_method() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.resource);
        Self::new(409, "AlreadyExists", message).of(kind, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource);
        Self::new(409, "Conflict", message).of(kind, name)
    }

    /// A write that was made from an old version.
    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(kind, name, why)
    }

    /// An apply that would take fields from other managers.
    pub(crate) fn owned(causes: &[Cause]) -> Self {
        let plural = if causes.len() == 1 { "" } else { "s" };
        let list: Vec<String> = causes
            .iter()
            .map(|Cause { field, message, .. }| format!("{message}: {field}"))
            .collect();
        let message =
            format!("Apply failed with {} conflict{plural}: {}", causes.len(), list.join(", "));
        let mut failure = Self::new(409, "Conflict", message);
        failure.details = json!({"causes": causes.iter().map(Cause::json).collect::<Vec<_>>()});
        failure
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A watch or a list from a version that is forgotten.
    pub(crate) fn too_old(version: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {version} ({oldest})"))
    }

    pub(crate) fn unsupported(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_of(&kind.kind, &kind.group, name, causes)
    }

    /// The same of something that is not stored, such as the options of a request.
    pub(crate) fn invalid_of(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let list: Vec<String> = causes
            .iter()
            .map(|Cause { field, message, .. }| format!("{field}: {message}"))
            .collect();
        let list = match list.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let dot = if group.is_empty() { "" } else { "." };
        let message = format!("{kind}{dot}{group} \"{name}\" is invalid: {list}");
        let mut failure = Self::new(422, "Invalid", message);
        let causes: Vec<Value> = causes.iter().map(Cause::json).collect();
        failure.details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        failure
    }

    pub(crate) fn throttled() -> Self {
        let message = "the server has received too many requests and has asked us to try again \
                       later";
        let mut failure = Self::new(429, "TooManyRequests", message);
        failure.details = json!({"retryAfterSeconds": 1});
        failure
    }

    pub(crate) fn internal(why: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {why}"))
    }

    /// A version that is not there yet.
    pub(crate) fn too_large(version: u64, newest: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {version}, current: {newest}");
        let mut failure = Self::new(504, "Timeout", message);
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        failure.details = json!({"causes": [cause], "retryAfterSeconds": 1});
        failure
    }

    /// How many seconds a client should let pass before it tries again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details["retryAfterSeconds"].as_u64()
    }

    pub(crate) fn json(&self) -> Value {
        let Self { code, reason, message, details } = self;
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message, "details": details,
        })
    }
}

/// What a deletion answers when the object is gone.
pub(crate) fn deleted(kind: &Kind, name: &str, uid: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid},
    })
}
