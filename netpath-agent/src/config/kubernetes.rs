//! Whether the agent takes part in a Kubernetes cluster, and how it reaches the API server.

use std::path::PathBuf;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::{Config, Mode};

/// Whether the agent takes part in a Kubernetes cluster, and how it reaches the API server.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields,
)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Whether the agent takes part in the cluster: pools of addresses come from there, what pods ask for
    /// by annotations, and Services that netpath translates.
    /// Without, nothing of Kubernetes is asked.
    pub enabled: bool,
    /// A kubeconfig file; its current context counts. If not given, the service account of the pod that
    /// the agent runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server, such as `https://10.0.1.2:6443`, in place of the one that the kubeconfig or the
    /// pod's environment names. Give one that is no Service's address where netpath translates
    /// Services: it can not translate before it has asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// What the cluster calls this node, by its Node object; the host's name, if not given. `--node` and
    /// `NODE_NAME` go before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl Config {
    /// Whether Services of the cluster matter: netpath translates them.
    #[must_use]
    pub fn follows_services(&self) -> bool {
        self.kubernetes.enabled && self.services.mode == Mode::Native
    }

    /// What this node is called in Services, if that is configured.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        let of_cluster = self.kubernetes.node.as_ref().filter(|_| self.kubernetes.enabled);
        self.services.node.as_ref().or(of_cluster).map(String::as_str)
    }
}
