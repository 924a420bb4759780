//! What netpath reads of the cluster's objects. Kubernetes' own types have hundreds of fields more, and the
//! code that reads those would be the largest part of the agent.

use std::borrow::Cow;

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::Deserialize;

/// A kind of which objects are read.
macro_rules! kind {
    ($name:ident, $scope:ty, $group:literal, $plural:literal) => {
        impl Resource for $name {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                stringify!($name).into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kind!(Node, ClusterResourceScope, "", "nodes");
kind!(Pod, NamespaceResourceScope, "", "pods");
kind!(Namespace, ClusterResourceScope, "", "namespaces");
kind!(Service, NamespaceResourceScope, "", "services");
kind!(EndpointSlice, NamespaceResourceScope, "discovery.k8s.io", "endpointslices");

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<NodeSpec>,
}

/// What a node should be.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeSpec {
    pub(super) taints: Option<Vec<Taint>>,
}

/// What keeps pods away.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Taint {
    pub(super) key: String,
}

impl Node {
    /// The keys of its taints.
    pub(super) fn taints(&self) -> impl Iterator<Item = &str> {
        let taints = self.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        taints.into_iter().flatten().map(|taint| taint.key.as_str())
    }
}

/// A pod.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: ObjectMeta,
}

/// A namespace.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Namespace {
    pub(super) metadata: ObjectMeta,
}

/// A Service.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Service {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<ServiceSpec>,
    pub(super) status: Option<ServiceStatus>,
}

/// What a Service should be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    pub(super) external_ips: Option<Vec<String>>,
    pub(super) load_balancer_source_ranges: Option<Vec<String>>,
    pub(super) session_affinity: Option<String>,
    pub(super) session_affinity_config: Option<SessionAffinityConfig>,
    pub(super) internal_traffic_policy: Option<String>,
    pub(super) external_traffic_policy: Option<String>,
    pub(super) health_check_node_port: Option<i32>,
    pub(super) publish_not_ready_addresses: Option<bool>,
    pub(super) ports: Option<Vec<ServicePort>>,
}

/// How clients stay with backends.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub(super) client_ip: Option<ClientIp>,
}

/// The same, by address.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientIp {
    pub(super) timeout_seconds: Option<i32>,
}

/// A port of a Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: i32,
    pub(super) node_port: Option<i32>,
}

/// What became of a Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: Option<LoadBalancer>,
}

/// Its load balancers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LoadBalancer {
    pub(super) ingress: Option<Vec<Ingress>>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ingress {
    pub(super) ip: Option<String>,
    pub(super) ip_mode: Option<String>,
}

/// A slice of a Service's endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: ObjectMeta,
    pub(super) address_type: String,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) ports: Option<Vec<EndpointPort>>,
}

/// An endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) addresses: Vec<String>,
    pub(super) conditions: Option<Conditions>,
    pub(super) hints: Option<Hints>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
}

/// How an endpoint is.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

/// Whom an endpoint should answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hints {
    pub(super) for_zones: Option<Vec<ForZone>>,
}

/// A zone.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ForZone {
    pub(super) name: String,
}

/// A port of all endpoints of a slice.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct EndpointPort {
    pub(super) name: Option<String>,
    pub(super) port: Option<i32>,
}
