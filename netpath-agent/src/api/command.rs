//! Requests on their way from the API to the node, which takes them one at a time.

use ipnet::IpNet;
use tokio::sync::oneshot;

use super::types::{
    Added, Counter, Endpoint, EndpointCounter, Explanation, Question, Route, Status,
};
use crate::{
    endpoint::EndpointSpec,
    name::EndpointName,
    node::Error,
    route::{RouteSpec, Table},
};

/// Where the answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A request to the node.
#[derive(Debug)]
pub enum Command {
    /// How the node is doing.
    Status(Reply<Status>),
    /// All endpoints.
    Endpoints(Reply<Vec<Endpoint>>),
    /// Make an endpoint.
    AddEndpoint(EndpointSpec, Reply<Added<Endpoint>>),
    /// Remove an endpoint.
    RemoveEndpoint(EndpointName, Reply<Endpoint>),
    /// The routes, of one table or all.
    Routes(Option<Table>, Reply<Vec<Route>>),
    /// Make a route.
    AddRoute(RouteSpec, Reply<Added<Route>>),
    /// Remove a route.
    RemoveRoute(Table, IpNet, Reply<Route>),
    /// Counters by parent, hook, path and reason.
    Counters(Reply<Vec<Counter>>),
    /// Counters by endpoint.
    EndpointCounters(Reply<Vec<EndpointCounter>>),
    /// Ask the decision.
    Explain(Question, Reply<Explanation>),
}
