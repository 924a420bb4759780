//! The tables of Services in the kernel: what a change changes, and whether they are what they should
//! be.

use super::apply::{Failure, Row};
use crate::{
    config::Mode,
    node::{Error, Node},
    service::{
        ServiceSpec,
        registry::{Delta, Origin},
        resolve::Resolved,
    },
    store::{Change, Stored},
};

impl Node {
    /// Writes what a change of a Service changes: additions before removals, and an address only when
    /// what it leads to is there.
    pub(super) fn write_services(&mut self, delta: &Delta) -> Result<(), Error> {
        if self.config.services.mode != Mode::Native {
            return Ok(());
        }
        let Delta { put, added: _, remove, put_sources, remove_sources } = delta;
        let touched = self.state.follow_services(delta);
        for (id, range) in put_sources {
            self.datapath.put_source(*id, range)?;
        }
        for (key, entry) in put {
            self.datapath.put_service(*key, entry)?;
        }
        for address in touched {
            self.write(address)?;
        }
        self.set_node()?;
        for key in remove {
            self.datapath.remove_service(key)?;
        }
        for (id, range) in remove_sources {
            self.datapath.remove_source(*id, range)?;
        }
        Ok(())
    }

    /// Takes in what the file and the store ask for: who goes before others comes first.
    pub(in crate::node) fn fill_services(&mut self, stored: Stored) {
        let Stored { runtime, cluster } = stored;
        self.start_file();
        if self.config.follows_services() {
            self.fill_from(cluster, Origin::Kubernetes);
            self.remember_cluster();
        } else {
            let gone = cluster.into_iter().map(|spec| Change::RemoveService(spec.name));
            self.journal.note(gone.collect());
        }
        self.fill_from(runtime, Origin::Runtime);
    }

    fn fill_from(&mut self, stored: Vec<ServiceSpec>, origin: Origin) {
        let registry = &self.services.registry;
        let stored = stored.into_iter().filter(|spec| registry.get(&spec.name).is_none());
        let stored: Vec<_> = stored.map(Ok).collect();
        for Row { name, result } in self.take(stored, origin).rows {
            if let Err(Failure { error, .. }) = result {
                self.services.refuse(&name, origin, error);
            }
        }
    }

    /// Whether the kernel's tables are otherwise than they should be.
    pub(in crate::node) fn services_differ(&self) -> Result<bool, Error> {
        if self.config.services.mode != Mode::Native {
            return Ok(false);
        }
        let registry = &self.services.registry;
        let (mut right, mut wrong) = (0, 0);
        let mut count = |is_right| if is_right { right += 1 } else { wrong += 1 };
        self.datapath.each_service(|key, entry| count(registry.entry(&key) == Some(&entry)))?;
        self.datapath.each_source(|id, range| count(registry.has_source(&(id, range))))?;
        let sources = registry.iter().map(|held| held.resolved.sources.len()).sum::<usize>();
        Ok(wrong > 0 || right != registry.entry_count() + sources)
    }

    /// Puts right what differs.
    pub(in crate::node) fn mend_services(&mut self) -> Result<(), Error> {
        let repaired = self.repair_services()?;
        if repaired > 0 {
            tracing::warn!(repaired, "the tables of Services differed from the desired state");
            self.count_repairs("service entry", repaired as u64);
        }
        Ok(())
    }

    /// Makes the kernel's tables match, and tells how many entries differed.
    pub(in crate::node) fn repair_services(&mut self) -> Result<usize, Error> {
        let mut actual = Resolved::default();
        self.datapath.each_service(|key, entry| drop(actual.entries.insert(key, entry)))?;
        self.datapath.each_source(|id, range| {
            actual.sources.insert((id, range));
        })?;
        let mut wanted = Resolved::default();
        if self.config.services.mode == Mode::Native {
            for held in self.services.registry.iter() {
                let entries = held.resolved.entries.iter();
                wanted.entries.extend(entries.map(|(key, entry)| (*key, entry.clone())));
                wanted.sources.extend(&held.resolved.sources);
            }
        }
        let Delta { put, added: _, remove, put_sources, remove_sources } =
            Delta::between(&actual, &wanted);
        for (id, range) in &put_sources {
            self.datapath.put_source(*id, range)?;
        }
        for (key, entry) in &put {
            self.datapath.put_service(*key, entry)?;
        }
        for key in &remove {
            self.datapath.remove_service(key)?;
        }
        for (id, range) in &remove_sources {
            self.datapath.remove_source(*id, range)?;
        }
        self.settle_services();
        Ok(put.len() + remove.len() + put_sources.len() + remove_sources.len())
    }
}
