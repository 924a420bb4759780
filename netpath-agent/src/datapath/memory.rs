//! Values of an array map in memory that is shared with the programs (`BPF_F_MMAPABLE`, Linux 5.5):
//! writing them takes no calls.

use std::{
    io, marker::PhantomData, num::NonZeroUsize, os::fd::AsFd as _, ptr::NonNull,
    sync::atomic::AtomicU32,
};

use aya::{Pod, maps::MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The kernel rounds the size of a value up to this.
const ALIGNMENT: usize = 8;

/// The values of an array map.
#[derive(Debug)]
pub(super) struct Memory<T> {
    start: NonNull<u8>,
    bytes: NonZeroUsize,
    count: u32,
    values: PhantomData<T>,
}

// SAFETY: memory of the process, not of a thread, and values that are plain bytes.
unsafe impl<T: Pod> Send for Memory<T> {}
// SAFETY: what can be written by a shared reference are atomic words, and values that nobody reads.
unsafe impl<T: Pod> Sync for Memory<T> {}

impl<T: Pod> Memory<T> {
    /// Bytes from one value to the next.
    const STRIDE: usize = size_of::<T>().next_multiple_of(ALIGNMENT);

    /// Maps the memory of a map whose values are such ones.
    pub(super) fn map(map: &MapData) -> io::Result<Self> {
        const { assert!(align_of::<T>() <= ALIGNMENT, "the kernel aligns to 8 bytes") };
        let info = map.info().map_err(io::Error::other)?;
        if info.value_size() as usize != size_of::<T>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let count = info.max_entries();
        let bytes =
            NonZeroUsize::new(Self::STRIDE * count as usize).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start =
            unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) }?;
        Ok(Self { start: start.cast(), bytes, count, values: PhantomData })
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    fn value<U>(&self, index: u32, offset: usize) -> NonNull<U> {
        assert!(index < self.count, "value {index} of {}", self.count);
        // SAFETY: within the mapping: offsets are less than the stride.
        unsafe { self.start.add(index as usize * Self::STRIDE + offset) }.cast()
    }

    /// A word of a value.
    pub(super) fn word(&self, index: u32, offset: usize) -> &AtomicU32 {
        assert!(offset + size_of::<u32>() <= Self::STRIDE, "offset {offset}");
        // SAFETY: words are aligned in all values, and nobody writes them in another way while they
        // can be read.
        unsafe { self.value(index, offset).as_ref() }
    }

    pub(super) fn read(&self, index: u32) -> T {
        // SAFETY: within the mapping, whose values are aligned; only this process writes them.
        unsafe { self.value::<T>(index, 0).read() }
    }

    /// Writes a value that nobody reads.
    pub(super) fn write(&self, index: u32, value: T) {
        // SAFETY: as for `read`.
        unsafe { self.value(index, 0).write(value) }
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; no reference into it outlives `self`.
        let _: nix::Result<()> = unsafe { munmap(self.start.cast(), self.bytes.get()) };
    }
}
