//! The kinds of resources that are served: a table of Kubernetes' own, to which definitions of
//! custom resources add.

use std::sync::Arc;

use super::schema::Schema;

/// A version of a resource, as discovery tells it.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "what objects say in `kind`")]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether the status is written apart.
    pub(crate) status: bool,
    /// What a field selector may ask for beside name and namespace.
    pub(crate) fields: Vec<String>,
    /// What objects are checked against. Custom resources have one.
    pub(crate) schema: Option<Schema>,
    /// `plural.group`: the collection, whatever the version, and how messages name it.
    pub(crate) resource: Arc<str>,
}

impl Kind {
    /// What objects say in `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }
}

/// A group and a version as one word; the core group has no name.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The name of a collection.
pub(crate) fn resource(plural: &str, group: &str) -> Arc<str> {
    if group.is_empty() { plural.into() } else { format!("{plural}.{group}").into() }
}

const NAMESPACED: bool = true;
const CLUSTER: bool = false;
const STATUS: bool = true;
const PLAIN: bool = false;
const NONE: &[&str] = &[];

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source.component",
    "type",
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

/// Group, version, plural, singular, kind, short names, namespaced, status, selectable fields.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    bool,
    bool,
    &'static [&'static str],
);

const RBAC: &str = "rbac.authorization.k8s.io";

#[rustfmt::skip]
const BUILT_IN: &[Row] = &[
    ("", "v1", "nodes", "node", "Node", &["no"], CLUSTER, STATUS, &["spec.unschedulable"]),
    ("", "v1", "pods", "pod", "Pod", &["po"], NAMESPACED, STATUS, POD_FIELDS),
    ("", "v1", "services", "service", "Service", &["svc"], NAMESPACED, STATUS, &["spec.clusterIP", "spec.type"]),
    ("", "v1", "namespaces", "namespace", "Namespace", &["ns"], CLUSTER, STATUS, &["status.phase"]),
    ("", "v1", "events", "event", "Event", &["ev"], NAMESPACED, PLAIN, EVENT_FIELDS),
    ("", "v1", "configmaps", "configmap", "ConfigMap", &["cm"], NAMESPACED, PLAIN, NONE),
    ("", "v1", "secrets", "secret", "Secret", NONE, NAMESPACED, PLAIN, &["type"]),
    ("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", &["sa"], NAMESPACED, PLAIN, NONE),
    ("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", NONE, NAMESPACED, PLAIN, NONE),
    ("apps", "v1", "daemonsets", "daemonset", "DaemonSet", &["ds"], NAMESPACED, STATUS, NONE),
    ("apps", "v1", "deployments", "deployment", "Deployment", &["deploy"], NAMESPACED, STATUS, NONE),
    ("apps", "v1", "statefulsets", "statefulset", "StatefulSet", &["sts"], NAMESPACED, STATUS, NONE),
    (RBAC, "v1", "roles", "role", "Role", NONE, NAMESPACED, PLAIN, NONE),
    (RBAC, "v1", "rolebindings", "rolebinding", "RoleBinding", NONE, NAMESPACED, PLAIN, NONE),
    (RBAC, "v1", "clusterroles", "clusterrole", "ClusterRole", NONE, CLUSTER, PLAIN, NONE),
    (RBAC, "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", NONE, CLUSTER, PLAIN, NONE),
    ("scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", &["pc"], CLUSTER, PLAIN, NONE),
    ("coordination.k8s.io", "v1", "leases", "lease", "Lease", NONE, NAMESPACED, PLAIN, NONE),
    ("events.k8s.io", "v1", "events", "event", "Event", &["ev"], NAMESPACED, PLAIN, &["reason", "regarding.kind", "regarding.name", "regarding.namespace", "regarding.uid", "type"]),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition", &["crd", "crds"], CLUSTER, STATUS, NONE),
];

/// Kubernetes' own kinds.
pub(crate) fn built_in() -> Vec<Arc<Kind>> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    BUILT_IN
        .iter()
        .map(|&(group, version, plural, singular, kind, short, namespaced, status, fields)| {
            Arc::new(Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: plural.to_owned(),
                singular: singular.to_owned(),
                kind: kind.to_owned(),
                short_names: owned(short),
                namespaced,
                status,
                fields: owned(fields),
                schema: None,
                resource: resource(plural, group),
            })
        })
        .collect()
}
