//! An agent that keeps its pods in memory.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use netpath_agent::{
    api::types::{Added, Failure},
    pod::{
        Addressing, Collected, GivenAddress, Keep, Mismatch, Pod, PodId, PodRoute, PodSpec,
        ReadyQuestion,
    },
};
use tokio::{net::UnixListener, runtime, sync::oneshot};

/// What the agent remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) pods: Vec<Pod>,
    /// What was asked for.
    pub(crate) specs: Vec<PodSpec>,
    /// What a runtime believed.
    pub(crate) checked: Vec<Pod>,
    /// What was to be kept.
    pub(crate) kept: Vec<Keep>,
    /// What it refuses everything with.
    pub(crate) refusal: Option<(StatusCode, Failure)>,
    /// What it finds to be otherwise.
    pub(crate) mismatches: Vec<Mismatch>,
}

type Shared = Arc<Mutex<Memory>>;
type Answer<T> = Result<(StatusCode, Json<T>), (StatusCode, Json<Failure>)>;

/// A running agent. It ends with the value.
#[derive(Debug)]
pub(crate) struct Agent {
    memory: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Agent {
    pub(crate) fn start(socket: &Path) -> Result<Self> {
        let memory = Shared::default();
        let router = Router::new()
            .route("/v1/pods", get(list).post(add))
            .route("/v1/pods/del", post(remove))
            .route("/v1/pods/check", post(check))
            .route("/v1/pods/gc", post(collect))
            .route("/v1/ready", get(ready))
            .with_state(Arc::clone(&memory));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(socket).context("bind the agent's socket")?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { memory, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses everything from now on.
    pub(crate) fn refuse(&self, status: StatusCode, code: Option<&str>, field: Option<&str>) {
        let error = format!("refused with {status}");
        let failure =
            Failure { error, field: field.map(str::to_owned), code: code.map(str::to_owned) };
        self.memory().refusal = Some((status, failure));
    }

    /// Fails if anything was asked of it.
    pub(crate) fn unmoved(&self) -> Result<()> {
        let memory = self.memory();
        let Memory { pods, specs, checked, kept, refusal: _, mismatches: _ } = &*memory;
        let asked = specs.len() + checked.len() + kept.len();
        ensure!(pods.is_empty() && asked == 0, "the agent was asked: {memory:?}");
        Ok(())
    }

    /// Ends it, as a kill would: nobody listens, and the socket's file stays.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn memory(shared: &Shared) -> Result<MutexGuard<'_, Memory>, (StatusCode, Json<Failure>)> {
    let memory = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match &memory.refusal {
        Some((status, failure)) => Err((*status, Json(failure.clone()))),
        None => Ok(memory),
    }
}

async fn list(State(shared): State<Shared>) -> Answer<Vec<Pod>> {
    Ok((StatusCode::OK, Json(memory(&shared)?.pods.clone())))
}

async fn add(State(shared): State<Shared>, Json(spec): Json<PodSpec>) -> Answer<Added<Pod>> {
    let mut memory = memory(&shared)?;
    memory.specs.push(spec.clone());
    if let Some(pod) = memory.pods.iter().find(|pod| pod.id == spec.id) {
        return Ok((StatusCode::OK, Json(Added { created: false, item: pod.clone() })));
    }
    let addresses = addresses(&spec.addressing, memory.pods.len());
    let defaults = addresses.iter().filter(|_| spec.default_route).map(|given| PodRoute {
        destination: if given.address.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" }
            .parse()
            .expect("a prefix"),
        gateway: given.gateway,
        mtu: None,
        priority: None,
    });
    let pod = Pod {
        routes: defaults.chain(spec.routes.clone()).collect(),
        id: spec.id,
        netns: spec.netns,
        pod: spec.pod,
        parent: spec.parent,
        mac: "02:00:00:00:00:01".to_owned(),
        mtu: spec.mtu.unwrap_or(1500),
        addresses,
        notes: vec!["a note of the agent".to_owned()],
    };
    memory.pods.push(pod.clone());
    Ok((StatusCode::CREATED, Json(Added { created: true, item: pod })))
}

/// Those that were asked for, else the next ones.
fn addresses(addressing: &Addressing, number: usize) -> Vec<GivenAddress> {
    let given = |address: String, gateway: &str| GivenAddress {
        address: address.parse().expect("an address"),
        gateway: Some(gateway.parse().expect("a gateway")),
    };
    match addressing {
        Addressing::Given { addresses } => addresses.clone(),
        Addressing::Pools { requested, .. } if requested.is_empty() => vec![
            given(format!("10.0.1.{}/24", number + 5), "10.0.1.1"),
            given(format!("fd00:1::{:x}/64", number + 5), "fd00:1::1"),
        ],
        Addressing::Pools { requested, .. } => requested
            .iter()
            .map(|address| match address {
                IpAddr::V4(_) => given(format!("{address}/24"), "10.0.1.1"),
                IpAddr::V6(_) => given(format!("{address}/64"), "fd00:1::1"),
            })
            .collect(),
    }
}

async fn remove(State(shared): State<Shared>, Json(id): Json<PodId>) -> Answer<Pod> {
    let mut memory = memory(&shared)?;
    match memory.pods.iter().position(|pod| pod.id == id) {
        Some(index) => Ok((StatusCode::OK, Json(memory.pods.remove(index)))),
        None => Err(unknown(&id)),
    }
}

async fn check(State(shared): State<Shared>, Json(pod): Json<Pod>) -> Answer<Vec<Mismatch>> {
    let mut memory = memory(&shared)?;
    if !memory.pods.iter().any(|known| known.id == pod.id) {
        return Err(unknown(&pod.id));
    }
    memory.checked.push(pod);
    Ok((StatusCode::OK, Json(memory.mismatches.clone())))
}

async fn collect(State(shared): State<Shared>, Json(keep): Json<Keep>) -> Answer<Collected> {
    let mut memory = memory(&shared)?;
    let stale = |pod: &Pod| pod.id.network == keep.network && !keep.keep.contains(&pod.id);
    let removed = memory.pods.extract_if(.., |pod| stale(pod)).map(|pod| pod.id).collect();
    memory.kept.push(keep);
    Ok((StatusCode::OK, Json(Collected { removed })))
}

async fn ready(
    State(shared): State<Shared>,
    Query(_): Query<ReadyQuestion>,
) -> Answer<serde_json::Value> {
    drop(memory(&shared)?);
    Ok((StatusCode::OK, Json(serde_json::json!({}))))
}

fn unknown(id: &PodId) -> (StatusCode, Json<Failure>) {
    let error = format!("pod {id} is not there");
    (StatusCode::NOT_FOUND, Json(Failure { error, field: None, code: None }))
}
