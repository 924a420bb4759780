//! Objects of the cluster, as its users and controllers write them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    apiserver::ApiServer,
    sandbox::{
        address::Family,
        fabric::{Fabric, Pod},
        scenario::services::{NODE_PORT, PORT, SERVICE, both},
        server::ECHO_PORT,
    },
};

/// The Service of all scenarios.
pub(super) const NAME: &str = "echo";
/// And its namespace.
pub(super) const NAMESPACE: &str = "default";

/// The API server of a fabric.
pub(super) fn api(fabric: &Fabric) -> Result<&ApiServer> {
    Ok(&fabric.cluster.as_ref().context("the fabric is in no cluster")?.api)
}

/// The Service, with more fields than all have.
pub(super) fn service(fields: &[(&str, Value)]) -> Value {
    let ports = ["TCP", "UDP"].map(|protocol| {
        json!({
            "name": protocol.to_lowercase(), "protocol": protocol, "port": PORT,
            "targetPort": "echo", "nodePort": NODE_PORT,
        })
    });
    let mut spec = json!({
        "type": "NodePort", "clusterIPs": both(SERVICE), "clusterIP": SERVICE.v4,
        "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"],
        "ports": ports, "selector": {"app": NAME},
    });
    for (field, value) in fields {
        spec[*field] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": NAME}, "spec": spec,
    })
}

/// An endpoint of a pod, without its address; changed, it is as the fields say.
pub(super) struct Member<'a> {
    pub(super) pod: &'a Pod,
    pub(super) conditions: Value,
    pub(super) hints: Value,
}

impl<'a> Member<'a> {
    /// One that is ready.
    pub(super) fn ready(pod: &'a Pod) -> Self {
        Self { pod, conditions: json!({"ready": true}), hints: Value::Null }
    }
}

/// Gives the Service these endpoints: a slice a family.
pub(super) fn publish(fabric: &Fabric, members: &[Member<'_>]) -> Result<()> {
    let ports = ["TCP", "UDP"].map(|protocol| {
        json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": ECHO_PORT})
    });
    for family in Family::BOTH {
        let endpoint = |Member { pod, conditions, hints }: &Member<'_>| {
            json!({
                "addresses": [pod.address.of(family)], "conditions": conditions, "hints": hints,
                "nodeName": fabric.nodes[pod.node].name,
                "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": pod.name},
            })
        };
        let endpoints: Vec<_> = members.iter().map(endpoint).collect();
        api(fabric)?.put(slice(NAMESPACE, NAME, family, &json!(ports), &json!(endpoints)))?;
    }
    Ok(())
}

/// A slice of a Service's endpoints of a family.
pub(super) fn slice(
    namespace: &str,
    service: &str,
    family: Family,
    ports: &Value,
    endpoints: &Value,
) -> Value {
    let kind = match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace, "name": format!("{service}-{}", kind.to_lowercase()),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": kind, "ports": ports, "endpoints": endpoints,
    })
}
