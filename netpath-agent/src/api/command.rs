//! Requests on their way from the API to the node.

use ipnet::IpNet;
use tokio::sync::oneshot;

use super::{
    ipam::{Release, Reserve},
    types::{
        Added, Connection, ConnectionFilter, Counter, Endpoint, EndpointCounter, Explanation, Flow,
        Question, Route, Status,
    },
};
use crate::{
    endpoint::EndpointSpec,
    ipam::{Allocation, PoolStatus, Problem},
    name::EndpointName,
    node::Error,
    pod::{Collected, Keep, Mismatch, Pod, PodId, PodSpec, ReadyQuestion},
    route::{RouteSpec, Table},
    rule::RuleSpec,
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
    /// All pods.
    Pods(Reply<Vec<Pod>>),
    /// Attach a pod.
    AddPod(PodSpec, Reply<Added<Pod>>),
    /// Detach a pod.
    RemovePod(PodId, Reply<Pod>),
    /// Compare a pod with what the runtime believes.
    CheckPod(Pod, Reply<Vec<Mismatch>>),
    /// Detach the pods that the runtime no longer has.
    CollectPods(Keep, Reply<Collected>),
    /// Whether pods can be attached.
    Ready(ReadyQuestion, Reply<()>),
    /// How the pools are doing.
    Pools(Reply<Vec<PoolStatus>>),
    /// All addresses that are not free.
    Allocations(Reply<Vec<Allocation>>),
    /// Let addresses go.
    Release(Release, Reply<Vec<Allocation>>),
    /// Keep an address for an owner.
    Reserve(Reserve, Reply<Allocation>),
    /// Compare allocations with endpoints.
    CheckAddresses(Reply<Vec<Problem>>),
    /// The routes, of one table or all.
    Routes(Option<Table>, Reply<Vec<Route>>),
    /// Make a route.
    AddRoute(RouteSpec, Reply<Added<Route>>),
    /// Remove a route.
    RemoveRoute(Table, IpNet, Reply<Route>),
    /// The rules of the configuration.
    Rules(Reply<Vec<RuleSpec>>),
    /// The flows that take the kernel path.
    Flows(Reply<Vec<Flow>>),
    /// Connections to Services.
    Connections(ConnectionFilter, Reply<Vec<Connection>>),
    /// Counters by parent, hook, path and reason.
    Counters(Reply<Vec<Counter>>),
    /// Counters by endpoint.
    EndpointCounters(Reply<Vec<EndpointCounter>>),
    /// Ask the decision.
    Explain(Question, Reply<Explanation>),
}
