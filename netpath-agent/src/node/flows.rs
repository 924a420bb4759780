//! The flows that take the kernel path.

use std::{net::IpAddr, time::Duration};

use netpath_common::FlowKey;
use nix::time::{ClockId, clock_gettime};

use super::{Error, Node};
use crate::api::types::Flow;

impl Node {
    /// All of them, by their ends.
    pub(super) fn flows(&self) -> Result<Vec<Flow>, Error> {
        // The programs' clock.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        let mut flows: Vec<Flow> = self
            .datapath
            .flows()?
            .into_iter()
            .map(|(key, flow)| {
                self.show_flow(&key, now.saturating_sub(Duration::from_nanos(flow.seen)))
            })
            .collect();
        flows.sort_by(|a, b| {
            let key = |flow: &Flow| {
                let Flow { source, source_port, destination, destination_port, .. } = *flow;
                (source, source_port, destination, destination_port)
            };
            key(a).cmp(&key(b))
        });
        Ok(flows)
    }

    fn show_flow(&self, key: &FlowKey, idle: Duration) -> Flow {
        let (source, destination) = (IpAddr::from(key.source), IpAddr::from(key.destination));
        let owner = |address| self.state.owner(address).map(ToString::to_string);
        Flow {
            protocol: match key.protocol {
                1 | 58 => "icmp".to_owned(),
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                number => number.to_string(),
            },
            source,
            source_port: u16::from_be(key.source_port),
            destination,
            destination_port: u16::from_be(key.destination_port),
            endpoints: [owner(source), owner(destination)].into_iter().flatten().collect(),
            idle_seconds: idle.as_secs(),
        }
    }
}
