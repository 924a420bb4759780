//! A Kubernetes API server for tests: real HTTP, every convention that a client may rely on, and
//! faults on demand. Clients such as the `kube` crate and `kubectl` see no difference.
//!
//! `kmock` of `PyPI` was looked at: it serves canned answers and objects without versions, knows
//! neither patches nor 410 nor field ownership, and guests would need Python.
//!
//! What a real one has and this has not: admission, authorisation, controllers but for the garbage
//! collector, graceful deletion of pods, and the schemas of Kubernetes' own kinds.

mod apply;
mod collect;
mod connection;
mod crd;
mod discovery;
mod faults;
mod fields;
mod http;
mod kind;
mod list;
mod object;
mod patch;
mod schema;
mod selector;
mod shape;
mod status;
mod store;
mod system;
mod watch;
mod write;

use std::{
    collections::HashMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch as signal},
    task::AbortHandle,
};

pub use self::faults::Faults;
use self::{faults::Fate, kind::Kind, object::Key, store::Store};

/// How a server is.
#[derive(Debug, Clone)]
pub struct Options {
    /// What names, uids and faults follow from.
    pub seed: u64,
    /// What requests must present, if anything. `kubectl` sends none without TLS; kube does.
    pub token: Option<String>,
    /// How often a watch that asked for bookmarks gets one.
    pub bookmarks: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, token: None, bookmarks: Duration::from_mins(1) }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    options: Options,
    store: Mutex<Store>,
    faults: Mutex<(Faults, fastrand::Rng)>,
    requests: Mutex<HashMap<(String, String), u64>>,
    watches: AtomicUsize,
    /// Dropping it cuts all connections; without it there are none.
    up: Mutex<Option<signal::Sender<()>>>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn draw(&self) -> Fate {
        let (faults, random) = &mut *lock(&self.faults);
        faults.draw(random)
    }

    fn admits(&self, authorization: Option<&HeaderValue>) -> bool {
        self.options.token.as_ref().is_none_or(|token| {
            authorization
                .is_some_and(|value| value.as_bytes() == format!("Bearer {token}").as_bytes())
        })
    }

    fn count(&self, verb: &str, resource: &str, status: bool) {
        let suffix = if status { "/status" } else { "" };
        let counted = (verb.to_owned(), format!("{resource}{suffix}"));
        *lock(&self.requests).entry(counted).or_default() += 1;
    }

    /// Tells when a new connection must end; none if at once.
    fn cut(&self) -> Option<signal::Receiver<()>> {
        lock(&self.up).as_ref().map(signal::Sender::subscribe)
    }
}

/// A thread that panicked while it held a lock has left nothing half done that matters to a test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that runs until it is dropped. A resource is named as `kubectl` names it in full:
/// `pods`, `endpointslices.discovery.k8s.io`; the namespace of a cluster-wide object is empty.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    runtime: Handle,
    accepting: Mutex<Option<AbortHandle>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Serves on a listener, whatever the network namespace that it was opened in.
    pub fn start(listener: TcpListener, options: Options) -> Result<Self> {
        let address = listener.local_addr().context("address of the API server")?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(options.seed)),
            faults: Mutex::new((Faults::default(), fastrand::Rng::with_seed(options.seed))),
            options,
            requests: Mutex::default(),
            watches: AtomicUsize::new(0),
            up: Mutex::new(None),
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let collecting = Arc::clone(&shared);
        let work = async move {
            tokio::select! {
                _ = stopped => {}
                () = collect::collect(&collecting) => {}
            }
        };
        let thread = thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(move || runtime.block_on(work))
            .context("start the API server")?;
        let server = Self {
            shared,
            listener,
            address,
            runtime: handle,
            accepting: Mutex::new(None),
            stop: Some(stop),
            thread: Some(thread),
        };
        server.serve()?;
        Ok(server)
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a file for `--kubeconfig`; JSON is YAML.
    pub fn kubeconfig(&self, path: &Path) -> Result<()> {
        let user = match &self.shared.options.token {
            Some(token) => json!({"token": token}),
            None => json!({}),
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url()}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(path, config.to_string()).with_context(|| format!("write {}", path.display()))
    }

    /// Stores an object as it is, its status as well, whether it was there or not. Returns its
    /// version.
    pub fn put(&self, object: Value) -> Result<u64> {
        let mut store = self.shared.store();
        let kind = store.kind_of(&object).context("put: an object of no known kind")?;
        write::put(&mut store, &kind, object);
        Ok(store.version())
    }

    /// Deletes an object, or marks it as deleted if it has finalizers. Returns whether it was there.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<bool> {
        let mut store = self.shared.store();
        let kind = known(&store, resource)?;
        let key = key(namespace, name);
        let Some(object) = store.get(resource, &key).cloned() else { return Ok(false) };
        write::delete(&mut store, &kind, &key, &object);
        Ok(true)
    }

    /// An object as it is stored.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let store = self.shared.store();
        let kind = known(&store, resource)?;
        Ok(store.get(resource, &key(namespace, name)).map(|object| object.typed(&kind)))
    }

    /// All objects of a resource, or those of a namespace.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Vec<Value>> {
        let store = self.shared.store();
        let kind = known(&store, resource)?;
        let within = |key: &Key| namespace.is_none_or(|namespace| namespace == key.namespace);
        let objects = store.objects(resource).filter(|(key, _)| within(key));
        Ok(objects.map(|(_, object)| object.typed(&kind)).collect())
    }

    /// The version of the last change.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.shared.store().version()
    }

    /// Forgets all history: who watches or pages from an older version gets 410, and so does a
    /// watch that has not told everything yet.
    pub fn compact(&self) {
        self.shared.store().compact();
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.shared.faults).0 = faults;
    }

    /// Cuts all connections that there are.
    pub fn disconnect_all(&self) {
        let mut up = lock(&self.shared.up);
        if up.is_some() {
            *up = Some(signal::channel(()).0);
        }
    }

    /// Stops listening and cuts all connections; what is stored stays.
    pub fn go_down(&self) -> Result<()> {
        connection::close(&self.listener, self.address).context("stop listening")?;
        *lock(&self.shared.up) = None;
        if let Some(accepting) = lock(&self.accepting).take() {
            accepting.abort();
        }
        Ok(())
    }

    /// Listens again at the same address.
    pub fn come_up(&self) -> Result<()> {
        connection::reopen(&self.listener).context("listen again")?;
        self.serve()
    }

    /// How many requests there were by a verb, such as `list` or `watch`, for a resource, such as
    /// `pods` or `nodes/status`.
    #[must_use]
    pub fn requests(&self, verb: &str, resource: &str) -> u64 {
        let counted = (verb.to_owned(), resource.to_owned());
        lock(&self.shared.requests).get(&counted).copied().unwrap_or_default()
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.shared.watches.load(Ordering::Relaxed)
    }

    fn serve(&self) -> Result<()> {
        let listener = self.listener.try_clone().context("share the listener")?;
        *lock(&self.shared.up) = Some(signal::channel(()).0);
        let accepting = self.runtime.spawn(connection::accept(Arc::clone(&self.shared), listener));
        *lock(&self.accepting) = Some(accepting.abort_handle());
        Ok(())
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("apiserver: its thread panicked");
        }
    }
}

fn known(store: &Store, resource: &str) -> Result<Arc<Kind>> {
    store.kind(resource).with_context(|| format!("{resource}: no known resource"))
}

fn key(namespace: &str, name: &str) -> Key {
    Key { namespace: namespace.to_owned(), name: name.to_owned() }
}
