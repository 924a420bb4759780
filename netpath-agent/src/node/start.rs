//! From nothing, or from what a predecessor left, to a running node.

use std::{path::Path, time::Instant};

use super::{Error, Node, RouteEntry, State, bpffs, cleanup, entry, parents};
use crate::{
    config::Config,
    datapath::{self, Datapath},
    endpoint::Record,
    error::chain,
    netlink::Netlink,
    store::{Lock, Store},
};

impl Node {
    /// Starts the node: checks everything that can be checked before anything is touched, then
    /// fills the maps, then attaches the programs. Maps and links of a predecessor are adopted.
    /// A first start that fails is undone.
    pub async fn start(config: Config) -> Result<Self, Error> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        let lock = Lock::take(&config.agent.state)?;
        let netlink = Netlink::connect()?;
        parents::check(&config.parents, &netlink.links().await?)?;
        bpffs::check_abi(&config.agent.pins)?;
        bpffs::ensure(&config.agent.pins)?;
        let store = Store::open(&lock)?;
        let state = restore(&config, &store)?;

        let pins = config.agent.pins.clone();
        let adopting = pins.exists();
        let started = Self::install(config, lock, store, netlink.clone(), state).await;
        if started.is_err() && !adopting {
            undo(&pins, &netlink).await;
        }
        started
    }

    async fn install(
        config: Config,
        lock: Lock,
        store: Store,
        netlink: Netlink,
        state: State,
    ) -> Result<Self, Error> {
        let datapath = Datapath::open(&datapath::Options::from(&config))?;
        let entry = entry::ensure(&netlink).await?;
        let mut node = Self {
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
        node.attach()?;
        tracing::info!(
            parents = node.state.parents.len(),
            endpoints = node.state.endpoints().len(),
            routes = node.state.routes().len(),
            changes,
            "the dataplane is attached"
        );
        Ok(node)
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

/// What the configuration and the store ask for. Where both have a route, the configuration's
/// holds.
fn restore(config: &Config, store: &Store) -> Result<State, Error> {
    let mut state = State::default();
    for record in store.endpoints()? {
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
