//! From nothing, or from what a predecessor left, to a running node.

use std::{path::Path, time::Instant};

use netpath_common::ABI;

use super::{Error, Node, RouteEntry, State, bpffs, cleanup, entry, parents};
use crate::{
    config::Config,
    datapath::{Datapath, Options},
    endpoint::{Record, set_switching},
    error::chain,
    netlink::{Namespace, Netlink},
    store::{Lock, Store},
};

/// A node that was found fit and is nobody else's, not yet touched.
#[derive(Debug)]
pub(super) struct Ground {
    config: Config,
    lock: Lock,
    netlink: Netlink,
}

impl Ground {
    /// Checks everything that can be checked without touching the kernel.
    pub(super) async fn check(config: Config) -> Result<Self, Error> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        let netlink = Netlink::connect()?;
        parents::check(&config.parents, &netlink.links().await?)?;
        bpffs::check_abi(&config.agent.pins)?;
        let lock = Lock::take(&config.agent.state)?;
        Ok(Self { config, lock, netlink })
    }

    /// Fills the maps, then attaches the programs. Maps and links of a predecessor are adopted; a
    /// first start that fails is undone.
    pub(super) async fn start(self) -> Result<Node, Error> {
        let Self { config, lock, netlink } = self;
        let pins = config.agent.pins.clone();
        bpffs::ensure(&pins)?;
        let adopting = pins.join(format!("v{ABI}")).exists();
        let started = install(config, lock, netlink.clone()).await;
        if started.is_err() && !adopting {
            undo(&pins, &netlink).await;
        }
        started
    }
}

async fn install(config: Config, lock: Lock, netlink: Netlink) -> Result<Node, Error> {
    let store = Store::open(&lock)?;
    let state = restore(&config, &store)?;
    let datapath = Datapath::open(&Options::from(&config))?;
    let entry = entry::ensure(&netlink).await?;
    let mut node = Node {
        config,
        store,
        netlink,
        datapath,
        entry,
        state,
        repairs: 0,
        started: Instant::now(),
        _lock: lock,
    };
    node.forget_the_dead()?;
    node.observe().await?;
    let changes = node.repair_tables()?;
    node.set_node()?;
    node.attach().await?;
    node.set_switching().await;
    tracing::info!(
        parents = node.state.parents.len(),
        endpoints = node.state.endpoints().len(),
        routes = node.state.routes().len(),
        changes,
        "the dataplane is attached"
    );
    Ok(node)
}

/// What the configuration and the store ask for. Where both have a route, the configuration's
/// holds.
fn restore(config: &Config, store: &Store) -> Result<State, Error> {
    let mut state = State::default();
    state.namespace = Namespace::own()?.number()?;
    for mut record in store.endpoints()? {
        let namespace = Namespace::open(&record.spec.netns).and_then(|netns| netns.number());
        // Those whose namespace is gone are forgotten in a moment.
        record.namespace = namespace.unwrap_or(0);
        state.insert(record);
    }
    for spec in store.routes()? {
        state.insert_route(RouteEntry { spec, configured: false });
    }
    for spec in config.routes.iter().cloned() {
        state.insert_route(RouteEntry { spec, configured: true });
    }
    Ok(state)
}

async fn undo(pins: &Path, netlink: &Netlink) {
    for error in cleanup::dataplane(pins, netlink).await.errors {
        tracing::warn!(error = chain(&error), "could not be undone");
    }
}

impl Node {
    /// Sets how every parent switches: the configuration may have changed since its children were
    /// made. The children share one port, so the first one that is there will do.
    async fn set_switching(&self) {
        for parent in self.state.parents.values() {
            let on_it = |record: &&Record| record.spec.parent == parent.config.name;
            for record in self.state.endpoints().filter(on_it) {
                match set_switching(record, parent.flags()).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(
                        endpoint = %record.spec.name,
                        error = chain(&error),
                        "can not set how its parent switches"
                    ),
                }
            }
        }
    }

    /// Forgets endpoints whose namespace is gone, as after a reboot: their addresses are free.
    fn forget_the_dead(&mut self) -> Result<(), Error> {
        let dead: Vec<Record> =
            self.state.endpoints().filter(|record| !record.spec.netns.exists()).cloned().collect();
        for Record { spec, .. } in dead {
            tracing::warn!(
                endpoint = %spec.name,
                netns = %spec.netns.display(),
                "its network namespace is gone; the endpoint is removed"
            );
            self.store.remove_endpoint(spec.name.as_str())?;
            self.state.remove(&spec.name);
        }
        Ok(())
    }
}
