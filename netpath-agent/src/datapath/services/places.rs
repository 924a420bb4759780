//! Who is at which place of `backends`.
//!
//! All Services that list a backend share its place, and it keeps that, and its generation, for as long
//! as one lists it. So does a backend that moves from one Service to another between two
//! [settlements](Places::settle).

use std::{
    collections::HashMap,
    mem::{self, offset_of},
    sync::atomic::{AtomicU32, Ordering},
};

use netpath_common::{Backend, BackendId};

use crate::{datapath::memory::Memory, service::BackendKey};

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    memory: Memory<Backend>,
    held: HashMap<BackendKey, Held>,
    /// Backends whose last use may have ended.
    idle: Vec<BackendKey>,
    /// Places where nobody is, nor any program looks.
    free: Vec<u32>,
    /// Places whose backend is gone.
    retired: Vec<u32>,
    /// The first place that was never used.
    unused: u32,
    /// The generation that was given last.
    generation: u32,
    /// Backends that are gone and were not told yet.
    gone: Vec<(BackendId, BackendKey)>,
}

/// A backend that has a place.
#[derive(Clone, Copy, Debug)]
struct Held {
    id: BackendId,
    /// Slots that lead to it.
    uses: u32,
}

impl Places {
    /// Has all places free; backends are [adopted](Self::adopt) one by one.
    pub(super) fn new(memory: Memory<Backend>) -> Self {
        Self {
            memory,
            held: HashMap::new(),
            idle: Vec::new(),
            free: Vec::new(),
            retired: Vec::new(),
            unused: 0,
            generation: 0,
            gone: Vec::new(),
        }
    }

    /// Places.
    pub(super) const fn count(&self) -> u32 {
        self.memory.count()
    }

    /// Backends that have a place.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Places that can be given away now.
    pub(super) fn free_count(&self) -> usize {
        self.free.len() + (self.memory.count() - self.unused) as usize
    }

    /// Places that can be given away once no program looks there any more.
    pub(super) fn retired_count(&self) -> usize {
        self.retired.len()
    }

    /// The place of a backend, for one more slot. `None` if no place is left but `spare` ones.
    ///
    /// `generation` is where a successor finds the one that was given last.
    pub(super) fn hold(
        &mut self,
        key: BackendKey,
        spare: u32,
        generation: &AtomicU32,
    ) -> Option<u32> {
        if let Some(held) = self.held.get_mut(&key) {
            held.uses += 1;
            return Some(held.id.place);
        }
        if self.held.len() >= self.memory.count().saturating_sub(spare) as usize {
            return None;
        }
        let place = self.free.pop().or_else(|| {
            let place = self.unused;
            self.unused += u32::from(place < self.memory.count());
            (place < self.unused).then_some(place)
        })?;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        generation.store(self.generation, Ordering::Relaxed);
        let id = BackendId { place, generation: self.generation };
        self.write(key, id);
        self.held.insert(key, Held { id, uses: 1 });
        Some(place)
    }

    /// Ends the uses of slots.
    pub(super) fn release(&mut self, keys: &[BackendKey]) {
        for key in keys {
            let Some(held) = self.held.get_mut(key) else { continue };
            held.uses -= 1;
            if held.uses == 0 {
                self.idle.push(*key);
            }
        }
    }

    /// Who is not used any more is gone.
    pub(super) fn settle(&mut self) {
        for key in mem::take(&mut self.idle) {
            if let Some(Held { id, uses: 0 }) = self.held.get(&key).copied() {
                self.held.remove(&key);
                self.vacate(key, id);
            }
        }
    }

    /// The backends that are gone since this was asked last.
    pub(super) fn take_gone(&mut self) -> Vec<(BackendId, BackendKey)> {
        mem::take(&mut self.gone)
    }

    /// Frees what was retired: no program looks there any more.
    pub(super) fn reclaim(&mut self) {
        self.free.append(&mut self.retired);
    }

    /// Where a backend is.
    pub(super) fn find(&self, key: &BackendKey) -> Option<BackendId> {
        self.held.get(key).map(|held| held.id)
    }

    /// What programs see at a place.
    pub(super) fn read(&self, place: u32) -> Option<Backend> {
        (place < self.memory.count()).then(|| self.memory.read(place))
    }

    /// Puts right what somebody else has written over a backend.
    pub(super) fn repair(&self, key: BackendKey, id: BackendId) {
        if self.memory.read(id.place) != backend(key, id.generation) {
            self.write(key, id);
        }
    }

    /// Takes over what a predecessor's slot leads to. `None` if nobody is there, or the backend has
    /// another place already.
    pub(super) fn adopt(&mut self, place: u32) -> Option<BackendKey> {
        let backend = self.read(place).filter(Backend::is_there)?;
        let key = BackendKey::from(&backend);
        let id = BackendId { place, generation: backend.generation };
        let held = self.held.entry(key).or_insert(Held { id, uses: 0 });
        (held.id == id).then(|| held.uses += 1)?;
        Some(key)
    }

    /// Ends the adoption: whoever no slot leads to is gone. `generation` is what a predecessor gave
    /// last.
    pub(super) fn adopted(&mut self, generation: u32) {
        self.generation = generation;
        let mut is_held = vec![false; self.memory.count() as usize];
        self.held.retain(|_, held| held.uses > 0);
        for Held { id, .. } in self.held.values() {
            is_held[id.place as usize] = true;
        }
        for (place, is_held) in (0..).zip(is_held) {
            let backend = self.memory.read(place);
            // The predecessor's last may have been another one's in the meantime.
            self.generation = self.generation.max(backend.generation);
            if is_held || backend != Backend::default() {
                self.free.extend(self.unused..place);
                self.unused = place + 1;
            }
            if is_held || backend == Backend::default() {
                continue;
            }
            if backend.is_there() {
                let id = BackendId { place, generation: backend.generation };
                self.vacate(BackendKey::from(&backend), id);
            } else {
                self.free.push(place);
            }
        }
    }

    /// Programs find nobody at a place from now on.
    fn vacate(&mut self, key: BackendKey, id: BackendId) {
        self.generation_at(id.place).store(0, Ordering::Release);
        self.retired.push(id.place);
        self.gone.push((id, key));
    }

    /// Writes a place where nobody is. Who knows it of old compares the generation, which comes last.
    fn write(&self, key: BackendKey, id: BackendId) {
        self.generation_at(id.place).store(0, Ordering::Release);
        self.memory.write(id.place, backend(key, 0));
        self.generation_at(id.place).store(id.generation, Ordering::Release);
    }

    fn generation_at(&self, place: u32) -> &AtomicU32 {
        self.memory.word(place, offset_of!(Backend, generation))
    }
}

const fn backend(key: BackendKey, generation: u32) -> Backend {
    let BackendKey { address, port, protocol } = key;
    Backend { address, port, protocol, generation }
}
