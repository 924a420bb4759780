//! The agent's life: requests, events and timers.

use std::{collections::VecDeque, fs, path::Path, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Error, Shared, answer::answer, cluster, connections, neighbours, reconcile::Moved, services,
    start::Ground, sysctls, watch,
};
use crate::{
    api,
    config::Config,
    error::chain,
    kube,
    netlink::{Change, Monitor},
};

/// Requests that may wait. More than that wait in their connections.
const WAITING: usize = 64;

/// How often that is looked at which sends no event: soon enough for a repair within two seconds; less
/// often where it would take more than one part in `SHARE` of a processor, as with tens of thousands
/// of endpoints.
const LOOK: Duration = Duration::from_millis(1500);
const SHARE: u32 = 400;
/// What is interrupted, as on a crowded hypervisor, seems to cost a lot: the least of so many looks in
/// a row counts.
const LOOKS: usize = 4;

/// How long requests that are being worked on may take until the agent ends.
const FINISH: Duration = Duration::from_secs(10);

/// Runs the agent until it is told to stop. The dataplane stays as it is: a successor adopts it.
pub async fn run(config: Config) -> Result<(), Error> {
    let signal =
        |kind| signal(kind).map_err(|source| Error::Io { action: "listen for signals", source });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    sysctls::open();
    // Before the first look at links and addresses, so that no change falls in between.
    let mut monitor = Monitor::start()?;
    let mut watching = true;

    let socket = config.agent.socket.clone();
    let period = Duration::from_secs(config.datapath.reconcile_seconds.into());
    let follows_services = config.follows_services();
    let client = if config.kubernetes.enabled {
        Some(kube::client(&config.kubernetes).await?)
    } else {
        None
    };
    let ground = Ground::check(config).await?;
    let listener = api::listen(&socket)?;
    let node = match Box::pin(ground.start()).await {
        Ok(node) => Arc::new(Mutex::new(node)),
        Err(error) => {
            forget(&socket);
            return Err(error);
        }
    };
    let (sender, mut requests) = mpsc::channel(WAITING);
    tokio::spawn(watch::start_all(Arc::clone(&node)));
    tokio::spawn(services::watch_file(Arc::clone(&node)));
    if let Some(client) = client {
        cluster::join(&node, client.clone()).await;
        if follows_services {
            tokio::spawn(services::watch_cluster(Arc::clone(&node), client));
        }
    }
    tokio::spawn(api::serve(listener, sender));
    tokio::spawn(services::watch_locals(Arc::clone(&node)));
    tokio::spawn(connections::keep(Arc::clone(&node)));
    tracing::info!(socket = %socket.display(), "ready");

    let mut timer = every(period);
    let (mut look, mut costs) = (Instant::now() + LOOK, VecDeque::from([Duration::ZERO; LOOKS]));
    let mut work = JoinSet::new();
    loop {
        let result = tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(request) = requests.recv() => {
                work.spawn(answer(Arc::clone(&node), request));
                Ok(())
            }
            Some(_) = work.join_next() => Ok(()),
            change = monitor.changed(), if watching => match change {
                Ok(change) => act(&node, &change).await,
                Err(error) => {
                    watching = false;
                    tracing::error!("the kernel's events are lost; the timers go on");
                    Err(error.into())
                }
            },
            () = sleep_until(look) => {
                let took = node.lock().await.look().await;
                costs.pop_front();
                costs.push_back(*took.as_ref().unwrap_or(&Duration::ZERO));
                let cost = costs.iter().min().copied().unwrap_or_default();
                look = Instant::now() + LOOK.max(cost * SHARE);
                took.map(drop)
            }
            _ = timer.tick() => reconcile(&node).await,
        };
        if let Err(error) = result {
            tracing::error!(error = chain(&error), "could not be reconciled; will try again");
        }
    }
    tracing::info!("stopping; the dataplane goes on");
    // What does not come to its end is undone or finished by the next agent.
    let _ = tokio::time::timeout(FINISH, work.join_all()).await;
    forget(&socket);
    Ok(())
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}

/// Acts on what the kernel tells.
async fn act(node: &Shared, change: &Change) -> Result<(), Error> {
    if change.lost {
        tracing::warn!("the kernel had to drop events; everything is compared");
        watch::look_at_all(node).await;
        return reconcile(node).await;
    }
    let touched = node.lock().await.watch.find(&change.elsewhere);
    watch::look_at(node, touched).await;
    if change.links || change.hooks || change.settings || change.policy {
        let Moved { changed, seen } = node.lock().await.refresh(change).await?;
        for name in seen {
            tokio::spawn(neighbours::tell(Arc::clone(node), name));
        }
        watch::move_on(node, changed).await;
    }
    Ok(())
}

/// Compares everything; pods only where their events are not heard, or a repair failed.
async fn reconcile(node: &Shared) -> Result<(), Error> {
    let owed = {
        let node = node.lock().await;
        let names = node.state.endpoints().map(|record| &record.spec.name);
        names.filter(|name| node.watch.owes(name)).cloned().collect::<Vec<_>>()
    };
    watch::look_at(node, owed).await;
    node.lock().await.reconcile().await
}

/// Removes the socket's file. One that stays hurts nobody: the next agent replaces it.
fn forget(socket: &Path) {
    let _ = fs::remove_file(socket);
}
