//! Asking the agent, with a bound on the time.

use std::{future::Future, path::Path, time::Duration};

use super::Error;
use crate::{
    api::{Client, client},
    pod::{Keep, Mismatch, Pod, PodId, PodSpec, ReadyQuestion},
};

/// How long the work on a pod may take. The agent's own bounds are far below; runtimes give a
/// plugin minutes.
const WORK: Duration = Duration::from_secs(30);
/// How long a question may take that needs no work.
const QUESTION: Duration = Duration::from_millis(900);

/// The agent.
#[derive(Debug)]
pub(super) struct Agent {
    client: Client,
}

impl Agent {
    /// The agent behind a socket.
    pub(super) fn new(socket: &Path) -> Self {
        Self { client: Client::new(socket) }
    }

    /// Attaches a pod.
    pub(super) async fn add(&self, spec: &PodSpec) -> Result<Pod, Error> {
        Ok(within(WORK, self.client.add_pod(spec)).await?.item)
    }

    /// Detaches a pod.
    pub(super) async fn remove(&self, id: &PodId) -> Result<Pod, Error> {
        within(WORK, self.client.remove_pod(id)).await
    }

    /// Compares a pod with what the runtime believes.
    pub(super) async fn check(&self, pod: &Pod) -> Result<Vec<Mismatch>, Error> {
        within(WORK, self.client.check_pod(pod)).await
    }

    /// Detaches what the runtime does not have any more.
    pub(super) async fn collect(&self, keep: &Keep) -> Result<(), Error> {
        within(WORK, self.client.collect_pods(keep)).await.map(|_removed| ())
    }

    /// Whether pods can be attached.
    pub(super) async fn ready(&self, question: &ReadyQuestion) -> Result<(), Error> {
        within(QUESTION, self.client.ready(question)).await
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, client::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Silent { seconds: limit.as_secs_f32() }),
    }
}
