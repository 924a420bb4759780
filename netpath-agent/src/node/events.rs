//! Events of pods that can not be attached, where `kubectl describe` shows them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::time::timeout;

use crate::{error::chain, pod::PodName};

/// Characters of an event's note (Kubernetes' own limit is 1024 bytes).
const NOTE: usize = 250;

/// How long it is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// What tells of a node's pods.
#[derive(Clone)]
pub(super) struct Events(Recorder);

impl Events {
    pub(super) fn new(client: Client, node: &str) -> Self {
        let (controller, instance) = ("netpath".into(), Some(node.to_owned()));
        Self(Recorder::new(client, Reporter { controller, instance }))
    }

    /// Tells why a pod is not attached; nobody waits for it. The same again is counted.
    pub(super) fn failed(&self, pod: &PodName, error: &super::Error) {
        let note: String = chain(error).chars().take(NOTE).collect();
        let event = Event {
            type_: EventType::Warning,
            reason: "AttachFailed".to_owned(),
            note: Some(note),
            action: "Attach".to_owned(),
            secondary: None,
        };
        let of = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: pod.uid.clone(),
            ..ObjectReference::default()
        };
        let recorder = self.0.clone();
        tokio::spawn(async move {
            match timeout(PATIENCE, recorder.publish(&event, &of)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(error = chain(&error), "an event is lost"),
                Err(_) => tracing::debug!("an event is lost: the API server does not answer"),
            }
        });
    }
}
