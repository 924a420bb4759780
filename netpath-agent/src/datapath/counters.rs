//! What the programs counted, and how full the maps are.

use std::collections::BTreeMap;

use aya::maps::{MapError, PerCpuValues};
use netpath_common::{Count, Counter, CounterKey, EndpointCount};

use super::{Datapath, Error};

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The map.
    pub name: &'static str,
    /// Entries in it.
    pub used: u32,
    /// Entries it can hold.
    pub capacity: u32,
}

impl Datapath {
    /// Packets and bytes by parent, hook, path and reason, over all CPUs.
    pub fn counters(&self) -> Result<Vec<(CounterKey, Count)>, Error> {
        let mut counts = BTreeMap::<CounterKey, Count>::new();
        for values in self.counters.iter() {
            for counter in values.map_err(Error::map("counters"))?.iter() {
                if *counter == Counter::default() {
                    continue;
                }
                let count = counts.entry(counter.key()).or_default();
                count.packets += counter.packets;
                count.bytes += counter.bytes;
            }
        }
        Ok(counts.into_iter().collect())
    }

    /// Packets and bytes of the endpoints in these slots, over all CPUs.
    pub fn endpoint_counters(&self, slots: &[u32]) -> Result<Vec<(u32, EndpointCount)>, Error> {
        let map = &self.endpoint_counters;
        slots
            .iter()
            .map(|slot| map.get(slot, 0).map(|values| (*slot, sum_endpoint(&values))))
            .collect::<Result<_, _>>()
            .map_err(Error::map("endpoint_counters"))
    }

    /// Clears a slot for its next endpoint: what its last one counted, and that it had flows.
    pub fn clear_slot(&mut self, slot: u32) -> Result<(), Error> {
        let error = Error::map("endpoint_counters");
        let cpus = self.endpoint_counters.get(&slot, 0).map_err(&error)?.len();
        let zero = PerCpuValues::try_from(vec![EndpointCount::default(); cpus])
            .map_err(|source| error(MapError::IoError(source)))?;
        self.endpoint_counters.set(slot, zero, 0).map_err(&error)?;
        self.endpoint_flows.set(slot, 0, 0).map_err(Error::map("endpoint_flows"))
    }

    /// How full the maps are whose entries come and go.
    pub fn fill(&self) -> Result<Vec<Fill>, Error> {
        let fill = |name, used, capacity| {
            let used = u32::try_from(used).unwrap_or(u32::MAX);
            Fill { name, used, capacity }
        };
        Ok(vec![
            fill("endpoints", self.endpoints.len() as usize, self.capacity.endpoints),
            fill("routes", self.routes.keys().count(), self.capacity.routes),
            fill("flows", self.flows.keys().count(), self.capacity.flows),
            fill("services", self.services.len(), self.capacity.services),
            fill("backends", self.services.backend_count(), self.capacity.backends),
            fill("connections", self.connections()?.count()?, self.capacity.connections),
            fill("counters", self.counters()?.len(), self.counters.len()),
        ])
    }
}

fn sum_endpoint(values: &PerCpuValues<EndpointCount>) -> EndpointCount {
    values.iter().fold(EndpointCount::default(), |sum, value| EndpointCount {
        rx_packets: sum.rx_packets + value.rx_packets,
        rx_bytes: sum.rx_bytes + value.rx_bytes,
        tx_packets: sum.tx_packets + value.tx_packets,
        tx_bytes: sum.tx_bytes + value.tx_bytes,
    })
}
