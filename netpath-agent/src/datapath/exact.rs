//! The table of addresses in the kernel, a hash table that programs read while it is written: see
//! [`EndpointEntry`].

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use aya::maps::MapData;
use netpath_common::{Address, Endpoint, EndpointEntry};

use super::{grace::wait_for_programs, memory::Memory};

/// Entries beyond those that can be used at once: the one with the number 0, and those that wait until
/// no program reads them any more, so that not every change has to wait for that.
pub(super) const SPARE: u32 = 128;

/// Entries that are waited for at once: half of those.
const BATCH: usize = SPARE as usize / 2;

/// How often a full table is looked through for entries that somebody else has removed: whoever asks for
/// room for thousands is told at once that there is none.
const RECOUNT: Duration = Duration::from_secs(1);

/// No place is left.
#[derive(Debug)]
pub(super) struct Full;

/// The table.
#[derive(Debug)]
pub(super) struct Exact {
    heads: Memory<u32>,
    entries: Memory<EndpointEntry>,
    /// Entries that no link leads to, nor any program reads.
    free: VecDeque<u32>,
    /// Entries that no link leads to any more.
    retired: Vec<u32>,
    /// The first entry that was never used.
    unused: u32,
    used: u32,
    recounted: Instant,
}

/// Where an address is, or would be.
struct Place<'a> {
    /// What leads there.
    link: &'a AtomicU32,
    /// The entry there, 0 for none.
    index: u32,
    /// Entries before it in the chain.
    depth: u32,
}

impl Exact {
    /// Maps the memory of the tables, and adopts what is in them.
    pub(super) fn open(heads: &MapData, entries: &MapData) -> io::Result<Self> {
        let heads = Memory::map(heads)?;
        let entries = Memory::map(entries)?;
        let (free, retired, recounted) = (VecDeque::new(), Vec::new(), Instant::now());
        let mut table = Self { heads, entries, free, retired, unused: 1, used: 0, recounted };
        table.recount();
        Ok(table)
    }

    /// Finds out which entries links lead to: those of a predecessor, and after somebody else has
    /// written the maps.
    fn recount(&mut self) {
        let mut linked = vec![false; self.entries.count() as usize];
        for head in 0..self.heads.count() {
            let mut index = self.heads.word(head, 0).load(Ordering::Relaxed);
            while index != 0 && index < self.entries.count() && !linked[index as usize] {
                linked[index as usize] = true;
                index = self.entry(index).next;
            }
        }
        let last = linked.iter().rposition(|linked| *linked).unwrap_or(0);
        self.unused = u32::try_from(last + 1).unwrap_or(u32::MAX);
        self.free = (1..self.unused).filter(|index| !linked[*index as usize]).collect();
        self.used = self.unused - 1 - u32::try_from(self.free.len()).unwrap_or(0);
        self.retired.clear();
        // Any of the others may have been removed a moment ago.
        wait_for_programs();
        self.recounted = Instant::now();
    }

    /// Addresses in the table.
    pub(super) const fn len(&self) -> u32 {
        self.used
    }

    /// What is known of an address.
    pub(super) fn get(&self, address: &Address) -> Option<Endpoint> {
        let Place { index, .. } = self.find(address);
        (index != 0).then(|| self.entry(index).endpoint)
    }

    /// Writes what is known of an address. Programs see all of it or what was known before.
    pub(super) fn put(&mut self, address: Address, endpoint: &Endpoint) -> Result<(), Full> {
        let Place { index: old, depth, .. } = self.find(&address);
        if old != 0 && self.entry(old).endpoint == *endpoint {
            return Ok(());
        }
        let is_full = self.used >= self.entries.count() - SPARE;
        if old == 0 && is_full && self.recounted.elapsed() >= RECOUNT {
            self.recount();
        }
        let is_full = self.used >= self.entries.count() - SPARE || depth == EndpointEntry::REACH;
        if old == 0 && is_full {
            return Err(Full);
        }
        let index = self.allocate()?;
        let Place { link, .. } = self.find(&address);
        let next = if old == 0 { 0 } else { self.entry(old).next };
        self.entries.write(index, EndpointEntry { address, endpoint: *endpoint, next });
        link.store(index, Ordering::Release);
        if old == 0 {
            self.used += 1;
        } else {
            self.retired.push(old);
        }
        Ok(())
    }

    /// Removes an address. One that is not there is no error.
    pub(super) fn remove(&mut self, address: &Address) {
        let Place { link, index, .. } = self.find(address);
        if index != 0 {
            link.store(self.entry(index).next, Ordering::Release);
            self.retired.push(index);
            self.used -= 1;
        }
    }

    /// Shows all addresses. There are far fewer entries than chains.
    pub(super) fn each(&self, mut show: impl FnMut(Address, Endpoint)) {
        for index in 1..self.unused {
            let EndpointEntry { address, endpoint, .. } = self.entry(index);
            if self.find(&address).index == index {
                show(address, endpoint);
            }
        }
    }

    fn find(&self, address: &Address) -> Place<'_> {
        let head = address.digest(EndpointEntry::HEAD_BITS);
        let mut link = self.heads.word(head, 0);
        let mut depth = 0;
        loop {
            let index = link.load(Ordering::Relaxed);
            let end = index == 0 || index >= self.entries.count() || depth == EndpointEntry::REACH;
            if end || self.entry(index).address == *address {
                return Place { link, index: if end { 0 } else { index }, depth };
            }
            link = self.entries.word(index, std::mem::offset_of!(EndpointEntry, next));
            depth += 1;
        }
    }

    fn entry(&self, index: u32) -> EndpointEntry {
        self.entries.read(index)
    }

    /// An entry that nobody reads: one that was used before, as soon as waiting for the programs is for
    /// many at once, so that few are ever looked at.
    fn allocate(&mut self) -> Result<u32, Full> {
        let is_last = self.unused == self.entries.count();
        let enough = if is_last { 1 } else { BATCH };
        if self.free.is_empty() && self.retired.len() >= enough {
            wait_for_programs();
            self.free.extend(self.retired.drain(..));
        }
        if let Some(index) = self.free.pop_front() {
            return Ok(index);
        }
        if is_last {
            return Err(Full);
        }
        self.unused += 1;
        Ok(self.unused - 1)
    }
}
