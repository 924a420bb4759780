//! A pod of the cluster.

use std::{net::IpAddr, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::api;
use crate::{
    cni::{self, Ground},
    sandbox::{
        fabric::{Fabric, create, nic},
        host,
        namespace::Namespace,
        topology::POD,
    },
};

/// Whether the cluster knows a pod.
pub(super) enum Named {
    /// It does not.
    No,
    /// By the UID of its object.
    Yes(String),
}

/// A pod, attached or not.
pub(super) struct Pod {
    pub(super) namespace: Namespace,
    pub(super) node: usize,
    pub(super) addresses: Vec<IpAddr>,
    /// What else stands in its configuration.
    pub(super) config: Value,
    name: String,
    named: Named,
}

impl Pod {
    /// A pod that is not attached yet.
    pub(super) fn new(fabric: &Fabric, node: usize, name: &str, named: Named) -> Result<Self> {
        let namespace = create(&fabric.prefix, &format!("{name}-{node}"), &POD)?;
        let config = json!({"parent": nic(0), "attachment": "policy-route"});
        let name = name.to_owned();
        Ok(Self { namespace, node, addresses: Vec::new(), config, name, named })
    }

    /// A pod that the cluster has on a node, with annotations.
    pub(super) fn of_cluster(
        fabric: &Fabric,
        node: usize,
        name: &str,
        annotations: &Value,
    ) -> Result<Self> {
        api(fabric)?.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "default", "labels": {"app": name},
                "annotations": annotations,
            },
            "spec": {"nodeName": fabric.nodes[node].name, "containers": []},
        }))?;
        let object = api(fabric)?.get("pods", "default", name)?.context("no pod")?;
        let uid = object["metadata"]["uid"].as_str().context("no UID")?.to_owned();
        Self::new(fabric, node, name, Named::Yes(uid))
    }

    /// Attaches it.
    pub(super) fn added(mut self, fabric: &Fabric) -> Result<Self> {
        let answer = self.call(fabric, "ADD")?.answer()?;
        self.addresses = host::addresses(&answer)?;
        Ok(self)
    }

    pub(super) fn remove(&self, fabric: &Fabric) -> Result<()> {
        self.call(fabric, "DEL")?.silence()
    }

    pub(super) fn call(&self, fabric: &Fabric, verb: &str) -> Result<cni::Outcome> {
        let ground = Ground {
            socket: fabric.agents[self.node].files.socket.clone(),
            netns: self.namespace.path(),
            plugins: Path::new("/").into(),
        };
        let mut config = ground.config("1.0.0");
        for (key, value) in self.config.as_object().context("no object")? {
            config[key] = value.clone();
        }
        let mut call = ground.call(verb, self.namespace.name(), &config);
        if let Named::Yes(uid) = &self.named {
            let arguments = format!(
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={};K8S_POD_UID={uid}",
                self.name
            );
            call = call.with("CNI_ARGS", arguments);
        }
        fabric.plugin().run(&call)
    }
}
