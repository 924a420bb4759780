//! From HTTP requests to commands, and back.

use axum::{
    Json, Router,
    extract::{
        FromRequest, FromRequestParts, Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
};

use super::{
    command::{Command, Reply},
    ipam::{Release, Reserve},
    types::{
        Added, Connection, ConnectionFilter, Counter, Endpoint, EndpointCounter, Explanation,
        Failure, Flow, Question, Route, RouteFilter, RouteName, Status,
    },
};
use crate::{
    endpoint::EndpointSpec,
    error::chain,
    ipam::{Allocation, PoolStatus, Problem},
    name::EndpointName,
    node::{self, Kind},
    pod::{Collected, Keep, Mismatch, Pod, PodId, PodSpec, ReadyQuestion},
    route::RouteSpec,
    rule::RuleSpec,
};

type Node = State<mpsc::Sender<Command>>;
type Creation<T> = (StatusCode, Json<Added<T>>);

/// Answers requests until the listener fails.
pub async fn serve(
    listener: UnixListener,
    node: mpsc::Sender<Command>,
) -> Result<(), std::io::Error> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/endpoints", get(endpoints).post(add_endpoint))
        .route("/v1/endpoints/{name}", delete(remove_endpoint))
        .route("/v1/pods", get(pods).post(add_pod))
        .route("/v1/pods/del", post(remove_pod))
        .route("/v1/pods/check", post(check_pod))
        .route("/v1/pods/gc", post(collect_pods))
        .route("/v1/ready", get(ready))
        .route("/v1/ipam/pools", get(pools))
        .route("/v1/ipam/addresses", get(allocations))
        .route("/v1/ipam/release", post(release))
        .route("/v1/ipam/reserve", post(reserve))
        .route("/v1/ipam/check", get(check_addresses))
        .route("/v1/rules", get(rules))
        .route("/v1/routes", get(routes).post(add_route).delete(remove_route))
        .route("/v1/flows", get(flows))
        .route("/v1/connections", get(connections))
        .route("/v1/counters", get(counters))
        .route("/v1/counters/endpoints", get(endpoint_counters))
        .route("/v1/explain", get(explain))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(node);
    axum::serve(listener, router).await
}

async fn status(State(node): Node) -> Result<Json<Status>, Error> {
    Ok(Json(ask(&node, Command::Status).await?))
}

async fn endpoints(State(node): Node) -> Result<Json<Vec<Endpoint>>, Error> {
    Ok(Json(ask(&node, Command::Endpoints).await?))
}

async fn add_endpoint(
    State(node): Node,
    Body(spec): Body<EndpointSpec>,
) -> Result<Creation<Endpoint>, Error> {
    Ok(added(ask(&node, |reply| Command::AddEndpoint(spec, reply)).await?))
}

async fn remove_endpoint(
    State(node): Node,
    Segment(name): Segment<EndpointName>,
) -> Result<Json<Endpoint>, Error> {
    Ok(Json(ask(&node, |reply| Command::RemoveEndpoint(name, reply)).await?))
}

async fn pods(State(node): Node) -> Result<Json<Vec<Pod>>, Error> {
    Ok(Json(ask(&node, Command::Pods).await?))
}

async fn add_pod(State(node): Node, Body(spec): Body<PodSpec>) -> Result<Creation<Pod>, Error> {
    Ok(added(ask(&node, |reply| Command::AddPod(spec, reply)).await?))
}

async fn remove_pod(State(node): Node, Body(id): Body<PodId>) -> Result<Json<Pod>, Error> {
    Ok(Json(ask(&node, |reply| Command::RemovePod(id, reply)).await?))
}

async fn check_pod(State(node): Node, Body(pod): Body<Pod>) -> Result<Json<Vec<Mismatch>>, Error> {
    Ok(Json(ask(&node, |reply| Command::CheckPod(pod, reply)).await?))
}

async fn collect_pods(State(node): Node, Body(keep): Body<Keep>) -> Result<Json<Collected>, Error> {
    Ok(Json(ask(&node, |reply| Command::CollectPods(keep, reply)).await?))
}

/// Whatever keeps the node from being ready is no fault of who asks.
async fn ready(
    State(node): Node,
    Parameters(question): Parameters<ReadyQuestion>,
) -> Result<Json<Value>, Error> {
    match ask(&node, |reply| Command::Ready(question, reply)).await {
        Ok(()) => Ok(Json(json!({}))),
        Err(Error(_, failure)) => Err(Error(StatusCode::SERVICE_UNAVAILABLE, failure)),
    }
}

async fn pools(State(node): Node) -> Result<Json<Vec<PoolStatus>>, Error> {
    Ok(Json(ask(&node, Command::Pools).await?))
}

async fn allocations(State(node): Node) -> Result<Json<Vec<Allocation>>, Error> {
    Ok(Json(ask(&node, Command::Allocations).await?))
}

async fn release(
    State(node): Node,
    Body(what): Body<Release>,
) -> Result<Json<Vec<Allocation>>, Error> {
    Ok(Json(ask(&node, |reply| Command::Release(what, reply)).await?))
}

async fn reserve(State(node): Node, Body(what): Body<Reserve>) -> Result<Json<Allocation>, Error> {
    Ok(Json(ask(&node, |reply| Command::Reserve(what, reply)).await?))
}

async fn check_addresses(State(node): Node) -> Result<Json<Vec<Problem>>, Error> {
    Ok(Json(ask(&node, Command::CheckAddresses).await?))
}

async fn rules(State(node): Node) -> Result<Json<Vec<RuleSpec>>, Error> {
    Ok(Json(ask(&node, Command::Rules).await?))
}

async fn flows(State(node): Node) -> Result<Json<Vec<Flow>>, Error> {
    Ok(Json(ask(&node, Command::Flows).await?))
}

async fn connections(
    State(node): Node,
    Parameters(filter): Parameters<ConnectionFilter>,
) -> Result<Json<Vec<Connection>>, Error> {
    Ok(Json(ask(&node, |reply| Command::Connections(filter, reply)).await?))
}

async fn routes(
    State(node): Node,
    Parameters(filter): Parameters<RouteFilter>,
) -> Result<Json<Vec<Route>>, Error> {
    Ok(Json(ask(&node, |reply| Command::Routes(filter.table, reply)).await?))
}

async fn add_route(
    State(node): Node,
    Body(spec): Body<RouteSpec>,
) -> Result<Creation<Route>, Error> {
    Ok(added(ask(&node, |reply| Command::AddRoute(spec, reply)).await?))
}

async fn remove_route(
    State(node): Node,
    Parameters(name): Parameters<RouteName>,
) -> Result<Json<Route>, Error> {
    let RouteName { table, prefix } = name;
    Ok(Json(ask(&node, |reply| Command::RemoveRoute(table, prefix, reply)).await?))
}

async fn counters(State(node): Node) -> Result<Json<Vec<Counter>>, Error> {
    Ok(Json(ask(&node, Command::Counters).await?))
}

async fn endpoint_counters(State(node): Node) -> Result<Json<Vec<EndpointCounter>>, Error> {
    Ok(Json(ask(&node, Command::EndpointCounters).await?))
}

async fn explain(
    State(node): Node,
    Parameters(question): Parameters<Question>,
) -> Result<Json<Explanation>, Error> {
    Ok(Json(ask(&node, |reply| Command::Explain(question, reply)).await?))
}

async fn unknown(method: Method, uri: Uri) -> Error {
    let error = format!("{method} {uri} is not part of this API; this agent serves /v1");
    Error(StatusCode::NOT_FOUND, Failure { error, field: None, code: None })
}

/// Hands a command to the node and waits for its answer.
async fn ask<T>(
    node: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, Error> {
    let (reply, result) = oneshot::channel();
    node.send(command(reply)).await.map_err(|_| Error::stopping())?;
    Ok(result.await.map_err(|_| Error::stopping())??)
}

/// 201 for what is new, 200 for what was there.
fn added<T>(value: Added<T>) -> Creation<T> {
    let status = if value.created { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(value))
}

/// A JSON body whose errors are ours.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Error))]
struct Body<T>(T);

/// Query parameters whose errors are ours.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Error))]
struct Parameters<T>(T);

/// A segment of the path whose errors are ours.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Error))]
struct Segment<T>(T);

/// An error as the API tells it.
#[derive(Debug)]
struct Error(StatusCode, Failure);

impl Error {
    fn stopping() -> Self {
        let error = "the agent is stopping; try again when it runs".to_owned();
        Self(StatusCode::SERVICE_UNAVAILABLE, Failure { error, field: None, code: None })
    }

    fn rejected(status: StatusCode, error: String) -> Self {
        Self(status, Failure { error, field: None, code: None })
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self(status, failure) = self;
        (status, Json(failure)).into_response()
    }
}

impl From<node::Error> for Error {
    fn from(error: node::Error) -> Self {
        let status = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Full => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let field = error.field().map(str::to_owned);
        let code = error.code().map(str::to_owned);
        Self(status, Failure { error: chain(&error), field, code })
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        Self::rejected(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::rejected(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::rejected(rejection.status(), rejection.body_text())
    }
}
