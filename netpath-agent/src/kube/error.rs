//! What can be wrong with the way to the API server.

use std::path::PathBuf;

/// The API server can not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig can not be used.
    #[error("kubernetes.kubeconfig: {} can not be used", file.display())]
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<kube::config::KubeconfigError>,
    },
    /// The agent runs in no pod, or its pod has no service account.
    #[error(
        "kubernetes.enabled, and neither kubernetes.kubeconfig nor a pod's service account says how to reach the API server; write a kubeconfig, or set enabled = false"
    )]
    NoAccount(#[from] kube::config::InClusterError),
    /// What they say makes no client.
    #[error("no client of the Kubernetes API can be made of what is configured")]
    Client(#[from] kube::Error),
}
