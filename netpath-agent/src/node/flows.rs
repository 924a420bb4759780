//! The flows that take the kernel path. They live as long as the host stack's connection tracking knows
//! of them: it has the protocols' states and timeouts, and hears both directions.

use std::{collections::HashSet, io, net::IpAddr, time::Duration};

use netpath_common::{Address, FlowKey};
use nix::time::{ClockId, clock_gettime};

use super::{Error, Node};
use crate::{
    api::types::{Flow, Protocol},
    netfilter::conntrack::{Connection, Conntrack},
};

/// A flow that packets renewed this lately is not asked about.
const FRESH: Duration = Duration::from_secs(5);
/// How many are asked about at a time: each question takes some microseconds.
const QUESTIONS: usize = 2_000;

/// Asks the host stack about flows.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    socket: Option<Conntrack>,
    /// How far the last look through the flows came.
    place: usize,
    /// It was said that nothing can be asked.
    warned: bool,
}

impl Tracker {
    fn find(&mut self, key: &FlowKey) -> io::Result<Option<Connection>> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            empty => empty.insert(Conntrack::open()?),
        };
        socket.find(key)
    }

    fn warn(&mut self, error: &io::Error) {
        if !self.warned {
            tracing::warn!(%error, "connection tracking can not be asked: flows do not age");
            self.warned = true;
        }
    }
}

/// Whose fragments go one way.
type Ends = (Address, Address, u32);

const fn ends(key: &FlowKey) -> Ends {
    (key.source, key.destination, key.protocol)
}

fn has_ports(key: &FlowKey) -> bool {
    *key != key.of_fragments()
}

impl Node {
    /// Forgets flows that the host stack has forgotten, some at a time; and the way of fragments once no
    /// flow is left between their ends.
    ///
    /// A packet that comes by between question and removal has its flow noted again by the next one.
    /// Where the host stack can not be asked, the oldest give way when the table is full.
    pub(super) fn age_flows(&mut self) -> Result<(), Error> {
        let flows = self.datapath.flows()?;
        let now = clock();
        let keys = flows.iter().map(|(key, _)| key);
        let used: HashSet<Ends> = keys.filter(|key| has_ports(key)).map(ends).collect();
        let Tracker { place, .. } = self.tracker;
        let due = flows.iter().skip(place).take(QUESTIONS).filter(|(key, flow)| {
            idle(now, flow.seen) > FRESH && (has_ports(key) || !used.contains(&ends(key)))
        });
        let mut gone = Vec::new();
        for (key, _) in due {
            match self.tracker.find(key) {
                Ok(Some(_)) => {}
                Ok(None) => gone.push(*key),
                Err(error) => {
                    self.tracker.warn(&error);
                    return Ok(());
                }
            }
        }
        let next = place + QUESTIONS;
        self.tracker.place = if next < flows.len() { next - gone.len() } else { 0 };
        Ok(self.datapath.remove_flows(&gone)?)
    }

    /// All of them, by their ends.
    pub(super) fn flows(&mut self) -> Result<Vec<Flow>, Error> {
        let now = clock();
        let mut flows = Vec::new();
        for (key, flow) in self.datapath.flows()? {
            // What can not be asked is not known.
            let connection = self.tracker.find(&key).unwrap_or_default();
            flows.push(self.show_flow(&key, idle(now, flow.seen), connection));
        }
        flows.sort_by(|a, b| {
            let key = |flow: &Flow| {
                let Flow { source, source_port, destination, destination_port, .. } = *flow;
                (source, source_port, destination, destination_port)
            };
            key(a).cmp(&key(b))
        });
        Ok(flows)
    }

    fn show_flow(&self, key: &FlowKey, idle: Duration, connection: Option<Connection>) -> Flow {
        let (source, destination) = (IpAddr::from(key.source), IpAddr::from(key.destination));
        let owner = |address| self.state.owner(address).map(ToString::to_string);
        let state = match connection {
            Some(connection) => Some(connection.state),
            None => (!has_ports(key)).then_some("fragments"),
        };
        Flow {
            protocol: Protocol::of(key.protocol).into(),
            source,
            source_port: u16::from_be(key.source_port),
            destination,
            destination_port: u16::from_be(key.destination_port),
            endpoints: [owner(source), owner(destination)].into_iter().flatten().collect(),
            idle_seconds: idle.as_secs(),
            state: state.map(ToOwned::to_owned),
            expires_seconds: connection.map(|connection| connection.expires.as_secs()),
        }
    }
}

/// The programs' clock.
pub(super) fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// How long ago the host stack forwarded what a flow answers.
const fn idle(now: Duration, seen: u64) -> Duration {
    now.saturating_sub(Duration::from_nanos(seen))
}
