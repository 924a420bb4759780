//! The connections that packets are translated by: forgotten when their time is over, or their backend.
//!
//! All of them are looked through beside the node, which is held for none of it.

use std::{
    collections::HashSet,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use netpath_common::{Address, BackendId, Connection};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{Error, Node, Shared, flows::clock, status::is_nearly_full};
use crate::{
    api::types::{self, ConnectionFilter, Protocol},
    config::Mode,
    connection::{Pair, Swept, Timeouts, move_on, pairs, sweep},
    datapath::{self, Connections},
    error::chain,
};

/// How often all connections are looked through; less often where it would take more than one part in
/// `SHARE` of a processor.
const PERIOD: Duration = Duration::from_millis(1500);
const SHARE: u32 = 100;
/// The same while the map is nearly full: every entry counts.
const URGENT_SHARE: u32 = 10;
/// How often it is said that the map is nearly full.
const WARNINGS: Duration = Duration::from_mins(1);

/// Backends that are gone, until the connections to them are.
#[derive(Debug, Default)]
pub(super) struct Gone {
    backends: Mutex<HashSet<BackendId>>,
    told: Notify,
}

impl Gone {
    fn tell(&self, backends: impl IntoIterator<Item = BackendId>) {
        self.keep(backends);
        self.told.notify_one();
    }

    fn keep(&self, backends: impl IntoIterator<Item = BackendId>) {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner).extend(backends);
    }

    fn take(&self) -> HashSet<BackendId> {
        mem::take(&mut self.backends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Node {
    /// To be called after changes of Services: backends that none lists any more are gone. What was sent
    /// to them by UDP goes to others from the next datagram on; what began by TCP comes to its end.
    pub(super) fn settle_services(&mut self) {
        let gone = self.datapath.settle_services();
        if !gone.is_empty() {
            self.gone.tell(gone.into_iter().map(|(backend, _)| backend));
        }
    }
}

/// Forgets connections for as long as the agent runs. Only netpath's own Services have any.
pub(super) async fn keep(node: Shared) {
    let (gone, timeouts, mut connections) = {
        let node = node.lock().await;
        let services = &node.config.services;
        if services.mode != Mode::Native {
            return;
        }
        match node.datapath.connections() {
            Ok(connections) => (Arc::clone(&node.gone), Timeouts::from(services), connections),
            Err(error) => {
                tracing::error!(error = chain(&error), "connections are never forgotten");
                return;
            }
        }
    };
    let capacity = connections.capacity().unwrap_or(u32::MAX);
    let (mut next, mut soonest) = (Instant::now(), Instant::now());
    let mut warned: Option<Instant> = None;
    loop {
        let is_due = tokio::select! {
            () = sleep_until(next) => true,
            // No more than half of a processor, however many changes there are.
            () = async { gone.told.notified().await; sleep_until(soonest).await } => false,
        };
        let backends = gone.take();
        let begin = Instant::now();
        let looked = spawn_blocking(move || {
            let result = look(&mut connections, &timeouts, &backends, is_due);
            (connections, backends, result)
        });
        let Ok((back, backends, result)) = looked.await else { return };
        connections = back;
        let cost = begin.elapsed();
        soonest = Instant::now() + cost;
        let Swept { entries, forgotten } = result.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "connections were not looked through");
            // With the next look.
            gone.keep(backends);
            Swept::default()
        });
        if forgotten > 0 {
            tracing::debug!(forgotten, "connections forgotten");
        }
        if !is_due {
            continue;
        }
        let is_urgent = is_nearly_full(entries as u64, capacity.into());
        next = Instant::now() + PERIOD.max(cost * if is_urgent { URGENT_SHARE } else { SHARE });
        if is_urgent && warned.is_none_or(|warned| warned.elapsed() >= WARNINGS) {
            tracing::warn!(
                entries,
                capacity,
                "the map of connections is nearly full: raise its capacity"
            );
            warned = Some(Instant::now());
        }
    }
}

/// Forgets connections to these backends, and if it is time those whose time is over.
fn look(
    connections: &mut Connections,
    timeouts: &Timeouts,
    gone: &HashSet<BackendId>,
    is_due: bool,
) -> Result<Swept, datapath::Error> {
    let is_gone = |backend: &BackendId| gone.contains(backend);
    let moved = if gone.is_empty() { 0 } else { move_on(connections, clock(), is_gone)? };
    let swept = if is_due { sweep(connections, timeouts, clock())? } else { Swept::default() };
    Ok(Swept { forgotten: swept.forgotten + moved, ..swept })
}

/// All of them that are asked for, by their clients.
pub(super) async fn list(
    node: &Shared,
    filter: ConnectionFilter,
) -> Result<Vec<types::Connection>, Error> {
    let (connections, timeouts) = {
        let node = node.lock().await;
        (node.datapath.connections()?, Timeouts::from(&node.config.services))
    };
    let listed = spawn_blocking(move || show(&connections, &timeouts, filter)).await;
    // It ends in no other way.
    Ok(listed.unwrap_or_else(|_| Ok(Vec::new()))?)
}

fn show(
    connections: &Connections,
    timeouts: &Timeouts,
    filter: ConnectionFilter,
) -> Result<Vec<types::Connection>, datapath::Error> {
    let ConnectionFilter { protocol, endpoint } = filter;
    let endpoint = endpoint.map(Address::from);
    let mut pairs = pairs(connections)?;
    pairs.retain(|Pair { key, forward, .. }| {
        let ends = [key.source, key.destination, forward.source, forward.destination];
        protocol.is_none_or(|protocol| protocol == Protocol::of(key.protocol))
            && endpoint.is_none_or(|endpoint| ends.contains(&endpoint))
    });
    pairs.sort_by_key(|Pair { key, .. }| {
        (key.source, key.source_port.to_be(), key.destination, key.destination_port.to_be())
    });
    let now = clock();
    Ok(pairs.iter().map(|pair| show_pair(pair, timeouts, now)).collect())
}

fn show_pair(pair: &Pair, timeouts: &Timeouts, now: Duration) -> types::Connection {
    let Pair { key, forward, back: _ } = pair;
    let Connection { source, destination, source_port, destination_port, .. } = *forward;
    let is_hidden = (source, source_port) != (key.source, key.source_port);
    types::Connection {
        protocol: Protocol::of(key.protocol).into(),
        client: key.source.into(),
        client_port: u16::from_be(key.source_port),
        service: key.destination.into(),
        service_port: u16::from_be(key.destination_port),
        backend: destination.into(),
        backend_port: u16::from_be(destination_port),
        source: is_hidden.then(|| IpAddr::from(source)),
        source_port: is_hidden.then_some(u16::from_be(source_port)),
        state: pair.state().name().to_owned(),
        idle_seconds: pair.idle(now).as_secs(),
        expires_seconds: pair.expires(now, timeouts).unwrap_or_default().as_secs(),
    }
}
