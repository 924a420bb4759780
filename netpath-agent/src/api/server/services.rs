//! Requests about Services.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Body, Error, Node, Segment, ask, status_of};
use crate::{
    api::{
        Command,
        services::{Applied, PutEndpoints, Service, ServiceDetail, What},
        types::Failure,
    },
    service::{ServiceName, items},
};

/// Bytes that a list of Services may have: tens of thousands, with all their endpoints.
const LIST_MAX: usize = 256 << 20;

pub(super) fn routes() -> Router<mpsc::Sender<Command>> {
    Router::new()
        .route("/v1/services", get(list).post(apply).layer(DefaultBodyLimit::max(LIST_MAX)))
        .route("/v1/services/endpoints", post(put_endpoints))
        .route("/v1/services/{namespace}/{name}", get(show).delete(remove))
}

async fn list(State(node): Node) -> Result<Json<Vec<Service>>, Error> {
    Ok(Json(ask(&node, Command::Services).await?))
}

/// A list is answered item by item. What is alone and refused is a request that failed.
async fn apply(
    State(node): Node,
    Body(value): Body<Value>,
) -> Result<(StatusCode, Json<Vec<Applied>>), Error> {
    let alone = !value.is_array();
    let mut rows = ask(&node, |reply| Command::ApplyServices(items(value), reply)).await?;
    if alone && let Some(row) = rows.pop_if(|row| row.result == What::Refused) {
        let Applied { name, error, field, kind, result: _ } = row;
        let status = kind.map_or(StatusCode::INTERNAL_SERVER_ERROR, status_of);
        let error = format!("service {name}: {}", error.unwrap_or_default());
        return Err(Error(status, Failure { error, field, code: None }));
    }
    let created = alone && rows.iter().any(|row| row.result == What::Created);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(rows)))
}

async fn put_endpoints(
    State(node): Node,
    Body(what): Body<PutEndpoints>,
) -> Result<Json<Applied>, Error> {
    Ok(Json(ask(&node, |reply| Command::PutServiceEndpoints(what, reply)).await?))
}

async fn show(
    State(node): Node,
    Segment(name): Segment<(String, String)>,
) -> Result<Json<ServiceDetail>, Error> {
    let name = service_name(&name)?;
    Ok(Json(ask(&node, |reply| Command::Service(name, reply)).await?))
}

async fn remove(
    State(node): Node,
    Segment(name): Segment<(String, String)>,
) -> Result<Json<Service>, Error> {
    let name = service_name(&name)?;
    Ok(Json(ask(&node, |reply| Command::RemoveService(name, reply)).await?))
}

fn service_name((namespace, name): &(String, String)) -> Result<ServiceName, Error> {
    let parsed = format!("{namespace}/{name}").parse::<ServiceName>();
    parsed.map_err(|error| Error::rejected(StatusCode::BAD_REQUEST, error.to_string()))
}
