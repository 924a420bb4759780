//! Client and server against each other, with a node that answers by rote.

use netpath_common::Path as RoutePath;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{
    Client, Command, client, listen, serve,
    services::{Applied, PutEndpoints, What},
    types::{Added, Endpoint, Question, Route},
};
use crate::{
    endpoint::{EndpointSpec, Invalid},
    name::InterfaceName,
    node::{Error, Kind},
    route::{RouteSpec, Table},
    service::{ServiceName, registry::Origin},
};

fn endpoint() -> Endpoint {
    Endpoint {
        spec: EndpointSpec {
            name: "web-0".parse().expect("name"),
            netns: "/run/netns/web-0".into(),
            interface: InterfaceName::ETH0,
            parent: InterfaceName::ETH0,
            attachment: None,
            addresses: vec!["10.0.1.5/24".parse().expect("address")],
            gateways: Vec::new(),
            table: Table(7),
            mtu: Some(1400),
        },
        mac: Some("02:00:00:00:00:01".to_owned()),
        link_local: None,
    }
}

fn route() -> Route {
    let spec = RouteSpec {
        table: Table::MAIN,
        prefix: "fd00:96::/112".parse().expect("prefix"),
        path: RoutePath::Router,
        via: vec!["fd00::1".parse().expect("address")],
    };
    Route { spec, origin: "runtime".to_owned() }
}

/// Knows one endpoint and one route; a question is refused with what was asked.
async fn node(mut requests: mpsc::Receiver<Command>) {
    while let Some(request) = requests.recv().await {
        match request {
            Command::Endpoints(reply) => drop(reply.send(Ok(vec![endpoint()]))),
            Command::AddEndpoint(spec, reply) => drop(reply.send(if spec == endpoint().spec {
                Ok(Added { created: false, item: endpoint() })
            } else {
                Err(Invalid::NoAddress.into())
            })),
            Command::RemoveEndpoint(name, reply) => drop(reply.send(Err(Error::NoEndpoint(name)))),
            Command::Routes(table, reply) => drop(reply.send(Ok(match table {
                None | Some(Table::MAIN) => vec![route()],
                Some(_) => Vec::new(),
            }))),
            Command::AddRoute(_, reply) => {
                drop(reply.send(Ok(Added { created: true, item: route() })));
            }
            Command::RemoveRoute(table, prefix, reply) => {
                drop(reply.send(Err(Error::RouteConfigured { prefix, table })));
            }
            Command::Explain(question, reply) => {
                let problem = serde_json::to_string(&question).expect("JSON");
                drop(reply.send(Err(Error::Question { field: "source", problem })));
            }
            Command::ApplyServices(items, reply) => {
                let rows = items.into_iter().map(|item| match item {
                    Ok(spec) => applied(spec.name.as_str(), What::Created, None),
                    Err(bad) => applied(&bad.name, What::Refused, Some(Kind::Invalid)),
                });
                drop(reply.send(Ok(rows.collect())));
            }
            Command::PutServiceEndpoints(what, reply) => {
                drop(reply.send(Err(Error::ServiceConfigured {
                    name: what.service,
                    origin: Origin::File,
                })));
            }
            Command::Service(name, reply) => drop(reply.send(Err(Error::NoService(name)))),
            _ => {}
        }
    }
}

fn applied(name: &str, result: What, kind: Option<Kind>) -> Applied {
    let error = kind.map(|_| "wrong".to_owned());
    Applied { name: name.to_owned(), result, error, field: None, kind }
}

fn start() -> (TempDir, Client) {
    let directory = TempDir::new().expect("directory");
    let socket = directory.path().join("run/agent.sock");
    let (sender, requests) = mpsc::channel(1);
    tokio::spawn(serve(listen(&socket).expect("socket"), sender));
    tokio::spawn(node(requests));
    (directory, Client::new(&socket))
}

fn refused(error: client::Error) -> super::types::Failure {
    match error {
        client::Error::Refused { failure, .. } => failure,
        other => panic!("expected a refusal, got {other}"),
    }
}

#[tokio::test]
async fn what_is_sent_arrives() {
    let (_directory, agent) = start();
    assert_eq!(agent.endpoints().await.expect("list"), [endpoint()]);
    let added = agent.add_endpoint(&endpoint().spec).await.expect("add");
    assert_eq!((added.created, added.item), (false, endpoint()));
    assert_eq!(agent.routes(None).await.expect("list"), [route()]);
    assert_eq!(agent.routes(Some(Table::MAIN)).await.expect("list"), [route()]);
    assert_eq!(agent.routes(Some(Table(7))).await.expect("list"), []);
    let added = agent.add_route(&route().spec).await.expect("add");
    assert_eq!((added.created, added.item), (true, route()));
}

#[tokio::test]
async fn refusals_say_what_and_where() {
    let (_directory, agent) = start();
    let other = EndpointSpec { mtu: None, ..endpoint().spec };
    let failure = refused(agent.add_endpoint(&other).await.expect_err("refused"));
    assert_eq!(failure.field.as_deref(), Some("addresses"));
    assert!(failure.error.starts_with("endpoint: addresses: no address given"), "{failure:?}");

    let name = "ghost".parse().expect("name");
    let failure = refused(agent.remove_endpoint(&name).await.expect_err("refused"));
    assert!(failure.error.contains("endpoint ghost is not there"), "{failure:?}");

    let prefix = "fd00:96::/112".parse().expect("prefix");
    let failure = refused(agent.remove_route(Table(7), prefix).await.expect_err("refused"));
    assert!(failure.error.contains("fd00:96::/112 in table 7 stands in the"), "{failure:?}");

    let question = Question {
        source: "web-0".to_owned(),
        destination: "10.0.0.1".to_owned(),
        protocol: "tcp".parse().expect("protocol"),
        source_port: None,
        destination_port: Some(80),
        parent: Some(InterfaceName::ETH0),
        mark: None,
    };
    let failure = refused(agent.explain(&question).await.expect_err("refused"));
    let asked = serde_json::to_string(&question).expect("JSON");
    assert!(failure.error.contains(&asked), "{failure:?} should repeat {asked}");
}

#[tokio::test]
async fn services_are_answered_item_by_item() {
    let (_directory, agent) = start();
    let list = json!([{"name": "a/a"}, {"name": "a/b", "port": 80}]);
    let rows = agent.apply_services(&list).await.expect("answered");
    let results: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.result)).collect();
    assert_eq!(results, [("a/a", What::Created), ("a/b", What::Refused)]);
    let alone = agent.apply_services(&json!({"name": "a/a"})).await.expect("answered");
    assert_eq!(alone, [applied("a/a", What::Created, None)]);
    let failure = agent.apply_services(&json!({"name": "A"})).await.expect_err("refused");
    assert_eq!(refused(failure).error, "service A: wrong");
    let service: ServiceName = "a/a".parse().expect("name");
    let failure = refused(agent.service(&service).await.expect_err("refused"));
    assert!(failure.error.contains("service a/a is not there"), "{failure:?}");
    let what = PutEndpoints { service, endpoints: Vec::new() };
    let failure = refused(agent.put_service_endpoints(&what).await.expect_err("refused"));
    assert_eq!(failure.field.as_deref(), Some("name"), "{failure:?}");
}

#[tokio::test]
async fn no_agent_is_told_apart() {
    let directory = TempDir::new().expect("directory");
    let agent = Client::new(&directory.path().join("agent.sock"));
    let error = agent.status().await.expect_err("nobody listens");
    assert!(matches!(error, client::Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_socket_is_taken_over_only_from_the_dead() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = TempDir::new().expect("directory");
    let socket = directory.path().join("agent.sock");
    let first = listen(&socket).expect("socket");
    let mode = std::fs::metadata(&socket).expect("socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = listen(&socket).expect_err("in use");
    assert!(error.to_string().contains("another process is listening"), "{error}");
    drop(first);
    drop(listen(&socket).expect("left behind"));

    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("file");
    let error = listen(&file).expect_err("a file");
    assert!(error.to_string().contains("is no socket"), "{error}");
}
