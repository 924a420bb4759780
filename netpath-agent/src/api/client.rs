//! Talking to the agent.

mod ipam;

use std::{
    io,
    path::{Path, PathBuf},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio::net::UnixStream;

use super::types::{
    Added, Connection, ConnectionFilter, Counter, Endpoint, EndpointCounter, Explanation, Failure,
    Flow, Question, Route, RouteFilter, RouteName, Status,
};
use crate::{
    endpoint::EndpointSpec,
    name::EndpointName,
    pod::{Collected, Keep, Mismatch, Pod, PodId, PodSpec, ReadyQuestion},
    route::{RouteSpec, Table},
    rule::RuleSpec,
};

/// A request that brought no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no netpath-agent answers on {}; start one, name its socket with --socket, or become root", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agent refused.
    #[error("{}", failure.error)]
    Refused {
        /// The kind of refusal.
        status: StatusCode,
        /// What it said.
        failure: Failure,
    },
    /// The connection broke.
    #[error("the agent's answer broke off")]
    Broken(#[from] hyper::Error),
    /// The agent speaks another version.
    #[error(
        "the agent's answer was not understood; netpath and netpath-agent must be of one version"
    )]
    Answer(#[from] serde_json::Error),
    /// A question that does not fit an address.
    #[error("the question can not be written as an HTTP request")]
    Question(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// An agent, by its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The agent behind a socket. Nothing is sent yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// How the node is doing.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status", &()).await
    }

    /// All endpoints.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, Error> {
        self.get("/v1/endpoints", &()).await
    }

    /// Makes an endpoint.
    pub async fn add_endpoint(&self, spec: &EndpointSpec) -> Result<Added<Endpoint>, Error> {
        self.post("/v1/endpoints", spec).await
    }

    /// Removes an endpoint.
    pub async fn remove_endpoint(&self, name: &EndpointName) -> Result<Endpoint, Error> {
        // Names are of characters that need no escaping.
        self.delete(&format!("/v1/endpoints/{name}"), &()).await
    }

    /// The routes, of one table or all.
    pub async fn routes(&self, table: Option<Table>) -> Result<Vec<Route>, Error> {
        self.get("/v1/routes", &RouteFilter { table }).await
    }

    /// Makes a route.
    pub async fn add_route(&self, spec: &RouteSpec) -> Result<Added<Route>, Error> {
        self.post("/v1/routes", spec).await
    }

    /// Removes a route.
    pub async fn remove_route(&self, table: Table, prefix: IpNet) -> Result<Route, Error> {
        self.delete("/v1/routes", &RouteName { table, prefix }).await
    }

    /// The rules of the configuration.
    pub async fn rules(&self) -> Result<Vec<RuleSpec>, Error> {
        self.get("/v1/rules", &()).await
    }

    /// The flows that take the kernel path.
    pub async fn flows(&self) -> Result<Vec<Flow>, Error> {
        self.get("/v1/flows", &()).await
    }

    /// Connections to Services.
    pub async fn connections(&self, filter: &ConnectionFilter) -> Result<Vec<Connection>, Error> {
        self.get("/v1/connections", filter).await
    }

    /// Counters by parent, hook, path and reason.
    pub async fn counters(&self) -> Result<Vec<Counter>, Error> {
        self.get("/v1/counters", &()).await
    }

    /// Counters by endpoint.
    pub async fn endpoint_counters(&self) -> Result<Vec<EndpointCounter>, Error> {
        self.get("/v1/counters/endpoints", &()).await
    }

    /// Asks the decision.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        self.get("/v1/explain", question).await
    }

    /// Attaches a pod.
    pub async fn add_pod(&self, spec: &PodSpec) -> Result<Added<Pod>, Error> {
        self.post("/v1/pods", spec).await
    }

    /// All pods.
    pub async fn pods(&self) -> Result<Vec<Pod>, Error> {
        self.get("/v1/pods", &()).await
    }

    /// Detaches a pod.
    pub async fn remove_pod(&self, id: &PodId) -> Result<Pod, Error> {
        self.post("/v1/pods/del", id).await
    }

    /// Compares a pod with what its runtime believes.
    pub async fn check_pod(&self, pod: &Pod) -> Result<Vec<Mismatch>, Error> {
        self.post("/v1/pods/check", pod).await
    }

    /// Detaches the pods of a network that its runtime no longer has.
    pub async fn collect_pods(&self, keep: &Keep) -> Result<Collected, Error> {
        self.post("/v1/pods/gc", keep).await
    }

    /// Whether pods can be attached, to a network or at all. A refusal says why not.
    pub async fn ready(&self, question: &ReadyQuestion) -> Result<(), Error> {
        self.get("/v1/ready", question).await.map(|IgnoredAny| ())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(Method::GET, &with_query(path, query)?, Bytes::new()).await
    }

    async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(Method::DELETE, &with_query(path, query)?, Bytes::new()).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        uri: &str,
        body: Bytes,
    ) -> Result<T, Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Error::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the request, and what went wrong with it is told there.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "netpath")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| Error::Question(error.into()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        read(status, &body)
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Error> {
    if status.is_success() {
        Ok(serde_json::from_slice(body)?)
    } else {
        Err(Error::Refused { status, failure: serde_json::from_slice(body)? })
    }
}

fn with_query(path: &str, query: &impl Serialize) -> Result<String, Error> {
    let query =
        serde_urlencoded::to_string(query).map_err(|error| Error::Question(error.into()))?;
    Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}
