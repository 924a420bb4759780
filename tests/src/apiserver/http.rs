//! Requests: what a path and a method mean, and how answers are sent.

use std::{collections::HashMap, convert::Infallible, error, fmt, sync::Arc};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT},
    http::request::Parts,
};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Shared, discovery,
    faults::{self, Fate, Refusal},
    fields::Manager,
    kind::Kind,
    list::{Page, Scope},
    object::{Key, Object},
    patch::Patch,
    selector::Selector,
    status::{self, Failure},
    watch::Watch,
    write::Write,
};

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A connection that ends without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the connection is cut")
    }
}

impl error::Error for Cut {}

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parsed = serde_urlencoded::from_str(text);
        parsed.map(Self).map_err(|error| Failure::bad_request(error.to_string()))
    }

    /// A parameter; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let invalid = |_| Failure::bad_request(format!("{name}: Invalid value: not a number"));
        self.get(name).map(|value| value.parse().map_err(invalid)).transpose()
    }
}

/// Serves one request, or does what the faults say.
pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Reply, Cut> {
    let fate = shared.draw();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    sleep(fate.latency).await;
    if fate.cut == Some(faults::Cut::Before) {
        return Err(Cut);
    }
    let answer = answer(&shared, &head, &body, &fate);
    if fate.cut == Some(faults::Cut::After) {
        return Err(Cut);
    }
    Ok(answer.unwrap_or_else(|failure| {
        let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = reply(code, failure.json().to_string());
        if let Some(seconds) = failure.retry_after() {
            reply.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        reply
    }))
}

fn answer(shared: &Arc<Shared>, head: &Parts, body: &[u8], fate: &Fate) -> Result<Reply, Failure> {
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    if let ["healthz" | "livez" | "readyz", ..] = path[..] {
        return Ok(reply(StatusCode::OK, "ok"));
    }
    if !shared.admits(head.headers.get(AUTHORIZATION)) {
        return Err(Failure::unauthorized());
    }
    match fate.refusal {
        Some(Refusal::Throttled) => return Err(Failure::throttled()),
        Some(Refusal::Failed) => return Err(Failure::internal("a fault that was asked for")),
        // Only a write can conflict.
        Some(Refusal::Conflict) | None => {}
    }
    let found = |list: Option<Value>| list.ok_or_else(Failure::no_resource);
    let list = match path[..] {
        ["version"] => discovery::version(),
        ["api"] => discovery::core(),
        ["apis"] => discovery::groups(&shared.store().kinds),
        ["apis", group] => found(discovery::group(&shared.store().kinds, group))?,
        ["api", version] => found(discovery::resources(&shared.store().kinds, "", version))?,
        ["apis", group, version] => {
            found(discovery::resources(&shared.store().kinds, group, version))?
        }
        ["api", version, ref rest @ ..] => {
            return Target::find(shared, "", version, rest)?.answer(shared, head, body, fate);
        }
        ["apis", group, version, ref rest @ ..] => {
            return Target::find(shared, group, version, rest)?.answer(shared, head, body, fate);
        }
        _ => return Err(Failure::no_resource()),
    };
    if head.method == Method::GET {
        Ok(reply(StatusCode::OK, list.to_string()))
    } else {
        Err(Failure::no_method())
    }
}

/// What a path leads to: a collection or an object.
struct Target {
    kind: Arc<Kind>,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
}

impl Target {
    fn find(shared: &Shared, group: &str, version: &str, path: &[&str]) -> Result<Self, Failure> {
        let (namespace, plural, rest) = match *path {
            ["namespaces", _, "status"] => (None, "namespaces", &path[1..]),
            ["namespaces", namespace, plural, ref rest @ ..] => (Some(namespace), plural, rest),
            [plural, ref rest @ ..] => (None, plural, rest),
            [] => return Err(Failure::no_resource()),
        };
        let (name, status) = match *rest {
            [] => (None, false),
            [name] => (Some(name), false),
            [name, "status"] => (Some(name), true),
            _ => return Err(Failure::no_resource()),
        };
        let store = shared.store();
        let is = |kind: &&Arc<Kind>| {
            (&*kind.group, &*kind.version, &*kind.plural) == (group, version, plural)
        };
        let kind = store.kinds.iter().find(is).cloned().ok_or_else(Failure::no_resource)?;
        let scoped = match (kind.namespaced, namespace, name) {
            (false, namespace, _) => namespace.is_none(),
            (true, namespace, name) => namespace.is_some() || name.is_none(),
        };
        if !scoped || status && !kind.status {
            return Err(Failure::no_resource());
        }
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Ok(Self { kind, namespace, name, status })
    }

    fn answer(
        self,
        shared: &Arc<Shared>,
        head: &Parts,
        body: &[u8],
        fate: &Fate,
    ) -> Result<Reply, Failure> {
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        let creatable = !self.kind.namespaced || self.namespace.is_some();
        let verb = match (&head.method, &self.name) {
            (&Method::GET, None) if query.is("watch") => "watch",
            (&Method::GET, None) => "list",
            (&Method::GET, Some(_)) => "get",
            (&Method::POST, None) if creatable => "create",
            (&Method::PUT, Some(_)) => "update",
            (&Method::PATCH, Some(_)) => "patch",
            (&Method::DELETE, Some(_)) if !self.status => "delete",
            (&Method::DELETE, None) if creatable => "deletecollection",
            _ => return Err(Failure::no_method()),
        };
        shared.count(verb, &self.kind.resource, self.status);
        match verb {
            "watch" => self.watch(shared, &query),
            "list" => self.list(shared, &query),
            "get" => self.get(shared),
            _ => self.write(
                shared,
                verb,
                &query,
                &head.headers,
                body,
                fate.refusal == Some(Refusal::Conflict),
            ),
        }
    }

    fn key(&self) -> Key {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Key { namespace: text(&self.namespace), name: text(&self.name) }
    }

    fn scope(self, query: &Query) -> Result<Scope, Failure> {
        let selector = |name| query.get(name).unwrap_or_default();
        let (labels, fields) = (selector("labelSelector"), selector("fieldSelector"));
        let selector = Selector::parse(&self.kind, labels, fields)?;
        Ok(Scope { kind: self.kind, namespace: self.namespace, selector })
    }

    fn get(&self, shared: &Shared) -> Result<Reply, Failure> {
        let key = self.key();
        let object = shared.store().get(&self.kind.resource, &key).cloned();
        let object = object.ok_or_else(|| Failure::not_found(&self.kind, &key.name))?;
        Ok(self.reply(StatusCode::OK, &object))
    }

    fn list(self, shared: &Shared, query: &Query) -> Result<Reply, Failure> {
        let scope = self.scope(query)?;
        // The store is free while the page is written.
        let page = Page::read(&shared.store(), &scope, query)?;
        Ok(reply(StatusCode::OK, page.json(&scope)))
    }

    fn watch(self, shared: &Arc<Shared>, query: &Query) -> Result<Reply, Failure> {
        let scope = self.scope(query)?;
        let watch = Watch::start(shared, &shared.store(), scope, query)?;
        let lines = stream::unfold(watch, async |mut watch| {
            let lines = watch.next().await?;
            Some((Ok(Frame::data(lines)), watch))
        });
        Ok(response(StatusCode::OK, StreamBody::new(lines).boxed_unsync()))
    }

    fn write(
        self,
        shared: &Shared,
        verb: &str,
        query: &Query,
        headers: &HeaderMap,
        body: &[u8],
        conflict: bool,
    ) -> Result<Reply, Failure> {
        let text = |value: Option<&HeaderValue>| -> String {
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let body = parse(body)?;
        let content_type = text(headers.get(CONTENT_TYPE));
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let patch = match verb {
            "patch" => Some(Patch::of(&self.kind, content_type)?),
            _ => None,
        };
        let applies = patch == Some(Patch::Apply);
        let force = query.get("force").is_some();
        check_options(query, applies, force)?;
        let agent = text(headers.get(USER_AGENT));
        let agent = agent.split('/').next().filter(|agent| !agent.is_empty()).unwrap_or("unknown");
        let write = Write {
            kind: Arc::clone(&self.kind),
            key: self.key(),
            manager: Manager {
                name: query.get("fieldManager").unwrap_or(agent).to_owned(),
                applies,
                status: self.status,
            },
            strict: query.get("fieldValidation") == Some("Strict"),
            dry_run: query.get("dryRun").is_some() || body["dryRun"].is_array(),
        };
        let mut store = shared.store();
        if conflict && store.get(&write.kind.resource, &write.key).is_some() {
            return Err(Failure::modified(&write.kind, &write.key.name));
        }
        match (verb, patch) {
            ("create", _) => {
                let object = write.create(&mut store, body)?;
                Ok(self.reply(StatusCode::CREATED, &object))
            }
            ("update", _) => {
                let object = write.replace(&mut store, body)?;
                Ok(self.reply(StatusCode::OK, &object))
            }
            (_, Some(patch)) => {
                let (created, object) = write.patch(&mut store, patch, &body, query.is("force"))?;
                let code = if created { StatusCode::CREATED } else { StatusCode::OK };
                Ok(self.reply(code, &object))
            }
            ("delete", _) => {
                let (gone, object) = write.delete(&mut store, &body)?;
                if !gone {
                    return Ok(self.reply(StatusCode::OK, &object));
                }
                let uid = &object.value["metadata"]["uid"];
                let done = status::deleted(&write.kind, &write.key.name, uid);
                Ok(reply(StatusCode::OK, done.to_string()))
            }
            _ => {
                let scope = self.scope(query)?;
                let page = Page::read(&store, &scope, query)?;
                for key in page.keys() {
                    Write { key, ..write.clone() }.delete(&mut store, &Value::Null)?;
                }
                Ok(reply(StatusCode::OK, page.json(&scope)))
            }
        }
    }

    fn reply(&self, code: StatusCode, object: &Object) -> Reply {
        let mut body = Vec::new();
        object.write(&self.kind, &mut body);
        reply(code, body)
    }
}

/// What an apply needs, and no other patch may have.
fn check_options(query: &Query, applies: bool, force: bool) -> Result<(), Failure> {
    let cause = match (applies, query.get("fieldManager"), force) {
        (true, None, _) => {
            let message = "Required value: is required for apply patch";
            status::Cause::new("fieldManager", "FieldValueRequired", message)
        }
        (false, _, true) => {
            let message = "Forbidden: may not be specified for non-apply patch";
            status::Cause::new("force", "FieldValueForbidden", message)
        }
        _ => return Ok(()),
    };
    Err(Failure::invalid_of("PatchOptions", "meta.k8s.io", "", &[cause]))
}

/// A body: JSON, or else YAML.
fn parse(body: &[u8]) -> Result<Value, Failure> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).or_else(|_| serde_saphyr::from_slice(body)).map_err(|error| {
        Failure::bad_request(format!("the object provided is unrecognized: {error}"))
    })
}

fn reply(code: StatusCode, body: impl Into<Bytes>) -> Reply {
    response(code, Full::new(body.into()).boxed_unsync())
}

fn response(code: StatusCode, body: UnsyncBoxBody<Bytes, Infallible>) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
