//! From nothing, or from what a predecessor left, to a running node.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use netpath_common::Address;

use super::{
    Error, Node, ParentProblem, RouteEntry, State,
    add::is_alive,
    addresses::now,
    bpffs, cleanup, entry,
    fixed::Fixed,
    flows::Tracker,
    journal::Journal,
    masquerade::Masquerade,
    parents::{self, vlan},
    pools::Pools,
    remove,
    services::Services,
    turns::Turns,
    watch::Watch,
};
use crate::{
    announce::Announcer,
    config::{Config, Mode},
    datapath::{Datapath, Options},
    endpoint::{Record, Stage, unwire},
    error::chain,
    ipam::Ipam,
    kube::pools::{Shares, merge},
    netlink::{Namespace, Netlink},
    store::{Change, Lock, Store},
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
        let netlink = Netlink::connect()?;
        let (all, links) = (&config.parents, netlink.links().await?);
        parents::check(all, &links)?;
        for parent in all {
            if let Some(problem) = parents::problem(parent, all, &links)
                && !matches!(problem, ParentProblem::NotMade { .. })
            {
                tracing::warn!(parent = %parent.name, %problem, "it is taken up when that is over");
            }
        }
        let lock = Lock::take(&config.agent.state)?;
        Ok(Self { config, lock, netlink })
    }

    /// Fills the maps, then attaches the programs. Maps and links of a predecessor are adopted; a
    /// first start that fails is undone.
    pub(super) async fn start(self) -> Result<Node, Error> {
        let Self { config, lock, netlink } = self;
        let pins = config.agent.pins.clone();
        bpffs::ensure(&pins, config.agent.mount)?;
        let adopting = bpffs::is_used(&pins);
        let started = install(config, lock, netlink.clone()).await;
        if started.is_err() && !adopting {
            undo(&pins, &netlink).await;
        }
        started
    }
}

async fn install(config: Config, lock: Lock, netlink: Netlink) -> Result<Node, Error> {
    let store = Store::open(&lock)?;
    let (records, gone) = settle(store.endpoints()?, &store).await?;
    // Pods can be added before the API server is heard.
    let shares = if config.kubernetes.enabled { store.shares()? } else { Shares::new() };
    let (specs, clashes) = merge(&config.pools, &shares);
    let mut ipam = Ipam::new(&config.ipam, &specs);
    let restored = ipam.restore(store.allocations()?, now());
    store.apply(&Change::allocations(restored).collect::<Vec<_>>())?;
    let (holds, said) = (store.holds()?, store.said()?);
    let said = said.into_iter().map(|said| (said.uid.clone(), said)).collect();
    let state = restore(&config, &store, records)?;
    let services = store.services()?;
    let datapath = Datapath::open(&Options::from(&config))?;
    if let Some(error) = vlan::ensure(&config.parents, &netlink).await?.errors.pop() {
        return Err(error);
    }
    let (entry, _) = entry::ensure(&netlink).await?;
    let held = Services::new(&config)?;
    let mut node = Node {
        config,
        journal: Journal::start(store, lock)?,
        netlink,
        datapath,
        tracker: Tracker::default(),
        gone: Arc::default(),
        masquerade: Masquerade::default(),
        entry,
        state,
        turns: Turns::default(),
        watch: Watch::default(),
        probes: Arc::default(),
        announcer: Announcer::open()?,
        ipam,
        pools: Pools::new(shares, clashes),
        fixed: Fixed::new(holds),
        services: held,
        cluster: None,
        said,
        repairs: BTreeMap::new(),
        started: Instant::now(),
    };
    if !node.config.services.at_packets() {
        node.datapath.forget_translated()?;
    }
    let strays = node.release_strays();
    node.journal.write(strays).await?;
    node.observe().await?;
    node.fill_services(services);
    node.repair_services()?;
    let changes = node.repair_tables()?;
    node.set_node()?;
    node.mend_policy().await?;
    node.datapath.take_over_links()?;
    node.attach().await?;
    node.datapath.remove_others();
    node.forget(&gone).await;
    tracing::info!(
        parents = node.state.parents.len(),
        endpoints = node.state.endpoints().len(),
        routes = node.state.routes().len(),
        services = node.services.len(),
        changes,
        "the dataplane is attached"
    );
    Ok(node)
}

/// Undoes what a predecessor did not finish, finishes what it was removing, and lets go of what
/// lost its namespace, as after a reboot. Returns what stays, and what went.
async fn settle(records: Vec<Record>, store: &Store) -> Result<(Vec<Record>, Vec<Record>), Error> {
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for record in records {
        let why = match record.stage {
            Stage::Adding => "its addition was cut short",
            Stage::Deleting => "its removal was cut short",
            Stage::Ready if is_alive(&record) => {
                kept.push(record);
                continue;
            }
            Stage::Ready => "its network namespace is gone",
        };
        let name = &record.spec.name;
        let netns = record.spec.netns.display();
        tracing::warn!(endpoint = %name, %netns, "{why}; the endpoint is removed");
        match unwire(&record).await {
            Ok(()) => gone.push(record),
            Err(error) => {
                tracing::warn!(endpoint = %name, error = chain(&error), "not removed yet");
                kept.push(Record { stage: Stage::Deleting, ..record });
            }
        }
    }
    let remove = |record: &Record| Change::RemoveEndpoint(record.spec.name.clone());
    store.apply(&gone.iter().map(remove).collect::<Vec<_>>())?;
    Ok((kept, gone))
}

/// What the configuration and the store ask for. Where both have a route, the configuration's
/// holds.
fn restore(config: &Config, store: &Store, records: Vec<Record>) -> Result<State, Error> {
    let mut state = State::default();
    state.namespace = Namespace::own()?.number()?;
    let stacked = config.parents.iter().filter(|parent| !parent.accelerate);
    state.stacked = stacked.map(|parent| parent.name.clone()).collect();
    state.rules.clone_from(&config.rules);
    state.masquerades.clone_from(&config.masquerades);
    for record in records {
        state.insert(record);
    }
    for spec in store.routes()? {
        state.insert_route(RouteEntry { spec, configured: false });
    }
    for spec in config.routes.iter().cloned().chain(config.service_routes()) {
        state.insert_route(RouteEntry { spec, configured: true });
    }
    state.services.at_packets = config.services.at_packets();
    if config.services.mode == Mode::Native {
        state.service_prefixes.clone_from(&config.services.cidrs);
    }
    Ok(state)
}

async fn undo(pins: &Path, netlink: &Netlink) {
    for error in cleanup::dataplane(pins, netlink).await.errors {
        tracing::warn!(error = chain(&error), "could not be undone");
    }
}

impl Node {
    /// Forgets what the kernel knows of endpoints that are gone: their addresses may turn up
    /// anywhere.
    async fn forget(&mut self, gone: &[Record]) {
        for record in gone {
            let addresses: Vec<_> = record.addresses().map(Address::from).collect();
            let mut errors = Vec::new();
            errors.extend(self.datapath.retire(record.slot, &addresses).err().map(Error::from));
            if let Some(parent) = self.state.parents.get(&record.spec.parent) {
                let parent = parent.link.index;
                errors.extend(remove::forget_neighbours(record, parent).await.err());
            }
            for error in errors {
                let error = chain(&error);
                tracing::warn!(endpoint = %record.spec.name, error, "not all was forgotten");
            }
        }
    }
}
