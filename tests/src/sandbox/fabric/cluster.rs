//! The Kubernetes cluster that nodes are in.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use netpath_agent::kube::types;

use crate::{
    apiserver::{ApiServer, Options},
    sandbox::topology::Place,
};

/// The port of API servers that are no Service's.
const PORT: u16 = 6443;

/// The API server, on the remote host, which has netpath's kinds, and the file by which nodes find it.
#[derive(Debug)]
pub struct Cluster {
    /// The API server.
    pub api: ApiServer,
    kubeconfig: PathBuf,
}

impl Cluster {
    pub(super) fn start(remote: &Place, folder: &Path) -> Result<Self> {
        let at = SocketAddr::new(remote.address.v4.into(), PORT);
        let listen = || TcpListener::bind(at).with_context(|| format!("listen on {at}"));
        let api = ApiServer::start(remote.namespace.enter(listen)?, Options::default())?;
        for definition in types::all() {
            api.put(serde_json::to_value(definition)?)?;
        }
        let kubeconfig = folder.join("kubeconfig");
        api.kubeconfig(&kubeconfig)?;
        Ok(Self { api, kubeconfig })
    }

    /// What stands in the configuration of a node.
    pub(super) fn configuration(&self, node: &str) -> String {
        let kubeconfig = self.kubeconfig.display();
        format!("[kubernetes]\nenabled = true\nkubeconfig = '{kubeconfig}'\nnode = {node:?}\n")
    }
}
