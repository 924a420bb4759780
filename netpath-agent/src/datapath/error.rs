//! What can go wrong between user space and the kernel.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError, tc::TcError},
};

/// An operation on programs, maps or hooks that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object did not load.
    #[error(
        "the kernel does not take the eBPF object; netpath needs Linux 5.10 or later with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF"
    )]
    Load(#[source] Box<EbpfError>),
    /// The object lacks a part: it was not built from this source.
    #[error("the eBPF object has no {0}: rebuild netpath-agent")]
    Missing(&'static str),
    /// A program did not load.
    #[error("the kernel does not take the program {name}")]
    Program {
        /// The program.
        name: &'static str,
        /// What the verifier said.
        source: Box<ProgramError>,
    },
    /// A map operation failed.
    #[error("map {map}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A map is full.
    #[error(
        "map {map} is full: it holds {capacity} entries; raise [capacity] {} in the configuration, run `netpath-agent cleanup` and start again",
        setting(map)
    )]
    Full {
        /// The map.
        map: &'static str,
        /// Entries that it can hold.
        capacity: u32,
    },
    /// A pinned map is not what this version and configuration would create.
    #[error(
        "the pinned map {} has {property} {found}, expected {expected}; run `netpath-agent cleanup` and start again, or keep the old value",
        path.display()
    )]
    Layout {
        /// The pin.
        path: PathBuf,
        /// What differs.
        property: &'static str,
        /// What the pinned map has.
        found: u32,
        /// What it should have.
        expected: u32,
    },
    /// A file of a bpf file system.
    #[error("{}", path.display())]
    Pin {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program can not be attached to a hook.
    #[error("can not attach to {hook} of {parent}")]
    Attach {
        /// The parent.
        parent: String,
        /// The hook, and how.
        hook: &'static str,
        /// What the kernel said.
        source: AttachError,
    },
    /// No cgroup has processes whose sockets could be translated.
    #[error(
        "no cgroup file system of version 2 is mounted, so that no socket is translated; mount one, or set [services] cgroup or translate = \"packet\""
    )]
    NoCgroup,
    /// Version 1, or something else.
    #[error(
        "[services] cgroup: {} is no cgroup of version 2; give a directory of a cgroup2 file system",
        .0.display()
    )]
    NotCgroup(PathBuf),
    /// A cgroup that can not be opened.
    #[error("cgroup {}", path.display())]
    Cgroup {
        /// Its directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program can not be attached to a hook of a cgroup.
    #[error("can not attach to {hook} of the cgroup {}", cgroup.display())]
    AttachSockets {
        /// The hook.
        hook: &'static str,
        /// The cgroup.
        cgroup: PathBuf,
        /// What the kernel said.
        source: Box<AttachError>,
    },
    /// A qdisc could not be added.
    #[error("can not add the clsact qdisc to {parent}")]
    Qdisc {
        /// The parent.
        parent: String,
        /// What the kernel said.
        source: TcError,
    },
}

/// The key of `[capacity]` that sets the size of a map.
fn setting(map: &str) -> &str {
    match map {
        "service_slots" => "backends",
        "service_sources" => "services",
        map => map,
    }
}

/// Why a program can not be attached to a hook.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The pin of the link.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The device.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether a map is full.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Names the map of an error.
    pub(super) fn map(map: &'static str) -> impl Fn(MapError) -> Self {
        move |source| Self::Map { map, source: Box::new(source) }
    }

    /// Names the map of an error of an insertion, and tells whether it is full: hash maps answer
    /// E2BIG, the trie ENOSPC.
    pub(super) fn insert(map: &'static str, capacity: u32) -> impl Fn(MapError) -> Self {
        move |source| match &source {
            MapError::SyscallError(error)
                if matches!(
                    error.io_error.raw_os_error(),
                    Some(nix::libc::E2BIG | nix::libc::ENOSPC)
                ) =>
            {
                Self::Full { map, capacity }
            }
            _ => Self::Map { map, source: Box::new(source) },
        }
    }
}
