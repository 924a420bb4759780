//! What was written to `services`, `service_slots` and `backends`, and in which order it is done.
//!
//! A change writes new backends, then a new run of slots, then the Service itself, in one step: a
//! program finds all of the old or all of the new. Slots and places that were given up are used again
//! once no program can be reading them. That is waited for when there are many of them, or no others.

use std::{collections::HashMap, io, sync::Arc, sync::atomic::Ordering};

use aya::maps::{self, Array, IterableMap as _, MapData, MapError};
use netpath_common::{Backend, BackendId, Run, Service, ServiceKey};

use super::{places::Places, runs::Runs};
use crate::{
    datapath::{Error, batch, grace::wait_for_programs, memory::Memory, namespaces::absent},
    service::{BackendKey, Entry},
};

/// The maps.
pub(super) const SERVICES: &str = "services";
pub(super) const SLOTS: &str = "service_slots";
pub(super) const BACKENDS: &str = "backends";

/// Slots and places that only changes may take: what is new must be there before the old is given up.
pub(in crate::datapath) const SPARE: u32 = 128;

/// The slot that is in no run: it has the last generation that a backend got, for a successor to go on.
const GENERATION: u32 = 0;

/// Slots that new Services can not have.
pub(in crate::datapath) const KEPT_SLOTS: u32 = SPARE + 1;

/// The maps, and what is in them.
pub(in crate::datapath) struct Book {
    services: maps::HashMap<MapData, ServiceKey, Service>,
    slot_array: Array<MapData, u32>,
    backend_array: Array<MapData, Backend>,
    slots: Memory<u32>,
    runs: Runs,
    places: Places,
    written: HashMap<ServiceKey, Written>,
    /// Runs by what they lead to: all Services that list the same share one.
    lists: HashMap<Arc<[BackendKey]>, List>,
    /// Backends that left Services whose clients stay with theirs.
    left: Vec<(u32, BackendId)>,
    capacity: u32,
}

/// What was written of a Service.
#[derive(Debug)]
struct Written {
    service: Service,
    entry: Entry,
}

/// A run that is in use.
#[derive(Debug)]
struct List {
    run: Run,
    /// Services that lead to it; twice, if both sides do.
    uses: u32,
}

impl Book {
    /// Maps the memory of the tables, and adopts what a predecessor wrote.
    pub(in crate::datapath) fn open(
        services: maps::HashMap<MapData, ServiceKey, Service>,
        slot_array: Array<MapData, u32>,
        backend_array: Array<MapData, Backend>,
        capacity: u32,
    ) -> Result<Self, Error> {
        let failed = |map| move |error: io::Error| Error::map(map)(MapError::IoError(error));
        let slots = Memory::map(slot_array.map()).map_err(failed(SLOTS))?;
        let backends = Memory::map(backend_array.map()).map_err(failed(BACKENDS))?;
        let all = Run { first: GENERATION + 1, count: slots.count().saturating_sub(1) };
        let mut book = Self {
            services,
            slot_array,
            backend_array,
            slots,
            runs: Runs::new(all),
            places: Places::new(backends),
            written: HashMap::new(),
            lists: HashMap::new(),
            left: Vec::new(),
            capacity,
        };
        book.adopt()?;
        Ok(book)
    }

    /// The map `services`.
    pub(in crate::datapath) fn map(&self) -> &MapData {
        self.services.map()
    }

    /// The map `service_slots`.
    pub(in crate::datapath) fn slots(&self) -> &MapData {
        self.slot_array.map()
    }

    /// The map `backends`.
    pub(in crate::datapath) fn backends(&self) -> &MapData {
        self.backend_array.map()
    }

    /// Entries of `services`.
    pub(in crate::datapath) fn len(&self) -> usize {
        self.written.len()
    }

    /// Backends that Services list.
    pub(in crate::datapath) fn backend_count(&self) -> usize {
        self.places.len()
    }

    /// What a Service's key leads to.
    pub(super) fn get(&self, key: &ServiceKey) -> Option<Entry> {
        self.services.get(key, 0).ok().map(|service| self.show(key, &service))
    }

    /// What programs find under a key.
    pub(in crate::datapath) fn look_up(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key, 0).ok()
    }

    /// The place that a slot leads to.
    pub(in crate::datapath) fn leads_to(&self, slot: u32) -> Option<u32> {
        self.slot_array.get(&slot, 0).ok()
    }

    /// Who is at a place.
    pub(in crate::datapath) fn backend(&self, place: u32) -> Option<Backend> {
        self.backend_array.get(&place, 0).ok()
    }

    /// Shows all Services.
    pub(super) fn each(&self, mut show: impl FnMut(ServiceKey, Entry)) -> Result<(), Error> {
        batch::each(&self.services, |key, service| show(key, self.show(&key, &service)))
            .map_err(Error::map(SERVICES))
    }

    /// Counts runs and places from what is in the maps. What makes no sense there is left out, so that
    /// it is found to differ.
    fn adopt(&mut self) -> Result<(), Error> {
        let mut known = HashMap::new();
        for (key, service) in batch::entries(&self.services).map_err(Error::map(SERVICES))? {
            let Some(inside) = self.adopt_run(&mut known, service.inside) else { continue };
            let Some(outside) = self.adopt_run(&mut known, service.outside) else {
                self.let_go(&inside);
                continue;
            };
            let Service { id, affinity, flags, .. } = service;
            let entry = Entry { id, affinity, flags, inside, outside };
            self.written.insert(key, Written { service, entry });
        }
        self.places.adopted(self.slots.word(GENERATION, 0).load(Ordering::Relaxed));
        // Any of those that are free may have been in use a moment ago.
        self.reclaim();
        Ok(())
    }

    fn adopt_run(
        &mut self,
        known: &mut HashMap<u32, Arc<[BackendKey]>>,
        run: Run,
    ) -> Option<Arc<[BackendKey]>> {
        if run.count == 0 {
            return Some(Arc::default());
        }
        let again = known.get(&run.first).and_then(|list| self.lists.get_key_value(list));
        if let Some((list, List { run: adopted, .. })) = again {
            let list = Arc::clone(list);
            return (*adopted == run).then(|| {
                self.lists.entry(Arc::clone(&list)).and_modify(|list| list.uses += 1);
                list
            });
        }
        if !self.runs.take(run) {
            return None;
        }
        let mut keys = Vec::new();
        for slot in run.first..run.first + run.count {
            match self.places.adopt(self.slot(slot)) {
                Some(key) => keys.push(key),
                None => break,
            }
        }
        if keys.len() < run.count as usize || self.lists.contains_key(keys.as_slice()) {
            self.places.release(&keys);
            self.runs.retire(run);
            return None;
        }
        let list: Arc<[BackendKey]> = keys.into();
        known.insert(run.first, Arc::clone(&list));
        self.lists.insert(Arc::clone(&list), List { run, uses: 1 });
        Some(list)
    }

    /// Writes a Service, unless it is there.
    pub(super) fn put(&mut self, key: ServiceKey, entry: &Entry) -> Result<(), Error> {
        let old = self.written.get(&key);
        if let Some(old) = old
            && old.entry == *entry
            && self.services.get(&key, 0).is_ok_and(|service| service == old.service)
        {
            self.repair(&entry.inside);
            self.repair(&entry.outside);
            return Ok(());
        }
        let spare = if old.is_some() { 0 } else { SPARE };
        let Entry { id, affinity, flags, inside, outside } = entry;
        let inside = self.hold(inside, spare)?;
        let outside = match self.hold(outside, spare) {
            Ok(outside) => outside,
            Err(error) => {
                self.let_go(&entry.inside);
                return Err(error);
            }
        };
        let (id, affinity, flags) = (*id, *affinity, *flags);
        let service = Service { id, affinity, inside, outside, flags, reserved: 0 };
        // What was written to the arrays comes before this: the kernel links its entry to the chain by
        // a store with release semantics.
        if let Err(error) = self.services.insert(key, service, 0) {
            self.let_go_of(entry);
            return Err(Error::insert(SERVICES, self.capacity)(error));
        }
        if let Some(old) = self.written.insert(key, Written { service, entry: entry.clone() }) {
            self.note_left(&old.entry, entry);
            self.let_go_of(&old.entry);
        }
        Ok(())
    }

    /// Removes a Service.
    pub(super) fn remove(&mut self, key: &ServiceKey) -> Result<(), Error> {
        absent(self.services.remove(key)).map_err(Error::map(SERVICES))?;
        if let Some(old) = self.written.remove(key) {
            self.let_go_of(&old.entry);
        }
        Ok(())
    }

    /// Clients must not stay with who has left, though it may answer for others.
    fn note_left(&mut self, old: &Entry, new: &Entry) {
        if old.affinity == 0 {
            return;
        }
        let stays =
            |backend: &&BackendKey| new.inside.contains(*backend) || new.outside.contains(*backend);
        let left = old.inside.iter().chain(old.outside.iter()).filter(|backend| !stays(backend));
        let left = left.filter_map(|backend| self.places.find(backend));
        self.left.extend(left.map(|backend| (old.id, backend)));
    }

    /// The backends that left such Services since this was asked last, with the Services' numbers.
    pub(super) fn take_left(&mut self) -> Vec<(u32, BackendId)> {
        std::mem::take(&mut self.left)
    }

    /// Who is listed no more is gone. Returns all who are since this was asked last.
    pub(super) fn settle(&mut self) -> Vec<(BackendId, BackendKey)> {
        self.places.settle();
        // Now, that the change can be seen, rather than before the next one can.
        let few = self.runs.retired_count() > self.runs.free_count() / 2
            || self.places.retired_count() > self.places.free_count() / 2;
        if few {
            self.reclaim();
        }
        self.places.take_gone()
    }

    /// What programs find of a Service.
    fn show(&self, key: &ServiceKey, service: &Service) -> Entry {
        let Service { id, affinity, inside, outside, flags, reserved: _ } = *service;
        let written = self.written.get(key).map(|written| &written.entry);
        let inside = self.show_run(inside, written.map(|written| &written.inside));
        let outside = self.show_run(outside, written.map(|written| &written.outside));
        Entry { id, affinity, flags, inside, outside }
    }

    /// Whom programs find by a run: as a rule, those that were written.
    fn show_run(&self, run: Run, written: Option<&Arc<[BackendKey]>>) -> Arc<[BackendKey]> {
        let end = run.first.saturating_add(run.count).min(self.slots.count());
        let places = (run.first..end).map(|slot| self.slot(slot));
        let found = places.filter_map(|place| self.places.read(place));
        let keys = found.filter(Backend::is_there).map(|backend| BackendKey::from(&backend));
        match written {
            Some(written) if keys.clone().eq(written.iter().copied()) => Arc::clone(written),
            _ => keys.collect(),
        }
    }

    /// Has slots lead to these backends.
    fn hold(&mut self, list: &Arc<[BackendKey]>, spare: u32) -> Result<Run, Error> {
        if list.is_empty() {
            return Ok(Run::default());
        }
        if let Some(List { run, uses }) = self.lists.get_mut(list) {
            *uses += 1;
            return Ok(*run);
        }
        let run = self.allocate(list.len(), spare)?;
        for (number, (slot, key)) in (run.first..).zip(list.iter()).enumerate() {
            let Some(place) = self.place(*key, spare) else {
                self.places.release(&list[..number]);
                self.runs.free(run);
                let capacity = self.places.count().saturating_sub(SPARE);
                return Err(Error::Full { map: BACKENDS, capacity });
            };
            self.slots.word(slot, 0).store(place, Ordering::Relaxed);
        }
        self.lists.insert(Arc::clone(list), List { run, uses: 1 });
        Ok(run)
    }

    fn allocate(&mut self, count: usize, spare: u32) -> Result<Run, Error> {
        let full =
            Error::Full { map: SLOTS, capacity: self.slots.count().saturating_sub(KEPT_SLOTS) };
        let Ok(count) = u32::try_from(count) else { return Err(full) };
        let fits = |free: u32| free.checked_sub(spare).is_some_and(|free| free >= count);
        if fits(self.runs.free_count())
            && let Some(run) = self.runs.allocate(count)
        {
            return Ok(run);
        }
        if !fits(self.runs.free_count() + self.runs.retired_count()) {
            return Err(full);
        }
        self.reclaim();
        self.runs.allocate(count).ok_or(full)
    }

    /// The place of a backend; that of one who is gone, if there is no other.
    fn place(&mut self, key: BackendKey, spare: u32) -> Option<u32> {
        let place = self.places.hold(key, spare, self.slots.word(GENERATION, 0));
        if place.is_some() {
            return place;
        }
        self.places.settle();
        if self.places.free_count() == 0 && self.places.retired_count() > 0 {
            self.reclaim();
        }
        self.places.hold(key, spare, self.slots.word(GENERATION, 0))
    }

    fn let_go_of(&mut self, entry: &Entry) {
        self.let_go(&entry.inside);
        self.let_go(&entry.outside);
    }

    /// One Service less leads to a list.
    fn let_go(&mut self, list: &Arc<[BackendKey]>) {
        let Some(held) = self.lists.get_mut(list) else { return };
        held.uses -= 1;
        if held.uses > 0 {
            return;
        }
        let run = held.run;
        self.lists.remove(list);
        self.places.release(list);
        self.runs.retire(run);
    }

    fn reclaim(&mut self) {
        wait_for_programs();
        self.runs.reclaim();
        self.places.reclaim();
    }

    fn slot(&self, slot: u32) -> u32 {
        self.slots.word(slot, 0).load(Ordering::Relaxed)
    }

    /// Puts right what somebody else has written over what a list leads to.
    fn repair(&self, list: &[BackendKey]) {
        let Some(List { run, .. }) = self.lists.get(list) else { return };
        for (slot, key) in (run.first..).zip(list) {
            if let Some(id) = self.places.find(key) {
                self.slots.word(slot, 0).store(id.place, Ordering::Relaxed);
                self.places.repair(*key, id);
            }
        }
    }
}
