//! Requests and their answers.

use super::{Shared, check, connections, endpoints, pods, services, watch};
use crate::api::Command;

/// Answers a request. Who asked may be gone: then nobody wants the answer.
pub(super) async fn answer(node: Shared, request: Command) {
    match request {
        Command::Status(reply) => drop(reply.send(node.lock().await.status().await)),
        Command::Endpoints(reply) => drop(reply.send(Ok(node.lock().await.list_endpoints()))),
        Command::AddEndpoint(spec, reply) => drop(reply.send(endpoints::add(&node, &spec).await)),
        Command::RemoveEndpoint(name, reply) => {
            drop(reply.send(endpoints::remove(&node, &name).await));
        }
        Command::Pods(reply) => drop(reply.send(Ok(node.lock().await.list_pods()))),
        Command::AddPod(spec, reply) => drop(reply.send(pods::add(&node, &spec).await)),
        Command::RemovePod(id, reply) => drop(reply.send(pods::remove(&node, &id).await)),
        Command::CheckPod(pod, reply) => drop(reply.send(check::check(&node, &pod).await)),
        Command::CollectPods(keep, reply) => drop(reply.send(pods::collect(&node, &keep).await)),
        Command::Ready(question, reply) => {
            drop(reply.send(node.lock().await.ready(&question).await));
        }
        Command::Pools(reply) => drop(reply.send(node.lock().await.pool_status().await)),
        Command::Allocations(reply) => drop(reply.send(node.lock().await.allocations().await)),
        Command::Release(what, reply) => {
            drop(reply.send(node.lock().await.release(&what).await));
        }
        Command::Reserve(what, reply) => {
            drop(reply.send(node.lock().await.reserve(&what).await));
        }
        Command::CheckAddresses(reply) => {
            drop(reply.send(Ok(node.lock().await.check_addresses())));
        }
        Command::Routes(table, reply) => {
            drop(reply.send(Ok(node.lock().await.list_routes(table))));
        }
        Command::AddRoute(spec, reply) => {
            let added = node.lock().await.add_route(spec).await;
            tell_exclusive(&node).await;
            drop(reply.send(added));
        }
        Command::RemoveRoute(table, prefix, reply) => {
            let removed = node.lock().await.remove_route(table, prefix).await;
            tell_exclusive(&node).await;
            drop(reply.send(removed));
        }
        Command::Services(reply) => drop(reply.send(Ok(node.lock().await.list_services()))),
        Command::Service(name, reply) => {
            drop(reply.send(node.lock().await.show_service(&name)));
        }
        Command::ApplyServices(items, reply) => {
            drop(reply.send(services::apply(&node, items).await));
        }
        Command::PutServiceEndpoints(what, reply) => {
            drop(reply.send(services::put_endpoints(&node, what).await));
        }
        Command::RemoveService(name, reply) => {
            drop(reply.send(services::remove(&node, &name).await));
        }
        Command::Rules(reply) => drop(reply.send(Ok(node.lock().await.list_rules()))),
        Command::Flows(reply) => drop(reply.send(node.lock().await.flows())),
        Command::Connections(filter, reply) => {
            drop(reply.send(connections::list(&node, filter).await));
        }
        Command::Counters(reply) => drop(reply.send(node.lock().await.counters())),
        Command::EndpointCounters(reply) => {
            drop(reply.send(node.lock().await.endpoint_counters()));
        }
        Command::Explain(question, reply) => {
            drop(reply.send(node.lock().await.explain(&question).await));
        }
    }
}

/// What the node leads to, endpoints with a NIC of their own must know.
async fn tell_exclusive(node: &Shared) {
    let told: Vec<_> = node.lock().await.exclusive().collect();
    watch::look_at(node, told).await;
}
