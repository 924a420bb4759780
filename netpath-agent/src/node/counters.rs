//! What happened to packets.

use netpath_common::{CounterKey, EndpointCount, Hook, Path, Reason};

use super::{Error, Node};
use crate::{
    api::types::{Counter, EndpointCounter},
    endpoint::Record,
};

impl Node {
    /// Counters by parent, hook, path and reason, in that order.
    pub(super) fn counters(&self) -> Result<Vec<Counter>, Error> {
        let mut counts = self.datapath.counters()?;
        counts.sort_by_key(|(key, _)| *key);
        let counter = |(key, count): (CounterKey, netpath_common::Count)| Counter {
            parent: self.parent_name(key.parent),
            hook: named(Hook::from_u8(key.hook).map(Hook::name), key.hook),
            path: named(Path::from_u8(key.path).map(Path::name), key.path),
            reason: named(Reason::from_u16(key.reason).map(Reason::name), key.reason),
            packets: count.packets,
            bytes: count.bytes,
        };
        Ok(counts.into_iter().map(counter).collect())
    }

    /// Counters by endpoint, by name.
    pub(super) fn endpoint_counters(&self) -> Result<Vec<EndpointCounter>, Error> {
        let slots: Vec<u32> = self.state.endpoints().map(|record| record.slot).collect();
        let counts = self.datapath.endpoint_counters(&slots)?;
        let counter = |(record, (_, count)): (&Record, (u32, EndpointCount))| {
            let EndpointCount { rx_packets, rx_bytes, tx_packets, tx_bytes } = count;
            let name = record.spec.name.to_string();
            EndpointCounter { name, rx_packets, rx_bytes, tx_packets, tx_bytes }
        };
        Ok(self.state.endpoints().zip(counts).map(counter).collect())
    }

    /// The name of a parent; the index of one that is gone.
    pub(super) fn parent_name(&self, ifindex: u32) -> String {
        let parent = self.state.parents.values().find(|parent| parent.link.index == ifindex);
        parent.map_or_else(|| ifindex.to_string(), |parent| parent.config.name.to_string())
    }
}

/// A name, or the number that a newer program wrote.
fn named(name: Option<&str>, number: impl Into<u32>) -> String {
    name.map_or_else(|| number.into().to_string(), str::to_owned)
}
