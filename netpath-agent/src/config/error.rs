//! What can be wrong with a configuration file.

use std::{io, path::PathBuf};

use crate::{
    ipam, masquerade,
    name::InterfaceName,
    route::{self, Table},
    rule,
    service::local,
};

/// Reading, parsing or checking the file failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can not be read.
    #[error("{}: can not be read; `netpath-agent config default` prints one to start from", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not TOML, a key is unknown, or a value is of the wrong type.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// Well-formed, but a value makes no sense here.
    #[error("{}: {field}: {problem}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The field's path, such as `route[2].prefix` (counted from 0).
        field: String,
        /// What was found, what was expected, what to do.
        problem: Problem,
    },
}

/// A value that makes no sense where it stands.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// A path that depends on the working directory.
    #[error("{0:?} is relative; write the path from / on")]
    Relative(PathBuf),
    /// `sockaddr_un` holds 108 bytes, the last one zero.
    #[error("{bytes} bytes; a unix socket's path has at most 107, choose a shorter one")]
    SocketTooLong {
        /// The length found.
        bytes: usize,
    },
    /// The log filter does not parse.
    #[error("{level:?} is no log filter ({reason}); write error, warn, info, debug or trace")]
    LogLevel {
        /// The text found.
        level: String,
        /// The parser's reason.
        reason: String,
    },
    /// A count that must be positive.
    #[error("0 is too small; write at least 1")]
    Zero,
    /// Nothing to attach to.
    #[error("no parent is configured; add a [[parent]] section with the name of the node's NIC")]
    NoParent,
    /// Two sections for one NIC.
    #[error("{name} is already parent[{first}]; remove one of the two")]
    DuplicateParent {
        /// The NIC.
        name: InterfaceName,
        /// The index of the first section.
        first: usize,
    },
    /// Two sections for one device.
    #[error("parent[{first}] is the same device; remove one of the two")]
    DuplicateDevice {
        /// The index of the first section.
        first: usize,
    },
    /// A device that is to be found in several ways.
    #[error("{first} says already which device it is; remove one of the two")]
    SecondIdentity {
        /// The key that says so.
        first: &'static str,
    },
    /// An Ethernet address that is many devices', or none's.
    #[error("{0} is no device's; write the NIC's own address, as `ip link` shows it")]
    NoDevice(netpath_common::Mac),
    /// A number that no VLAN has.
    #[error("{0} is no VLAN; write a number from 1 to 4094")]
    VlanNumber(u16),
    /// A VLAN on itself, or on another VLAN.
    #[error("{0} is a VLAN itself; write the NIC or bond below")]
    VlanOnVlan(InterfaceName),
    /// A VLAN that pods would take away.
    #[error(
        "a VLAN that netpath makes can not be given to a pod whole; write another attachment, or make the VLAN and write its name only"
    )]
    WholeVlan,
    /// A prefix that is an address inside itself.
    #[error("{0} has bits set behind its length; write {trunc}", trunc = .0.trunc())]
    HostBits(ipnet::IpNet),
    /// A prefix that two parents have.
    #[error("{subnet} is a subnet of parent[{first}] already; remove one of the two")]
    DuplicateSubnet {
        /// The prefix.
        subnet: ipnet::IpNet,
        /// The index of the first section.
        first: usize,
    },
    /// A second router of a family.
    #[error("{0} is the second router of its family; write one")]
    SecondRouter(std::net::IpAddr),
    /// A router that no packet can be sent to.
    #[error("{0} is no unicast address; write the router's on this parent's network")]
    RouterNotUnicast(std::net::IpAddr),
    /// A table that is somebody else's.
    #[error(
        "{0} is a table of the kernel's, of a parent's or of netpath's own; write another number from 1 to 252, or from 256 on"
    )]
    ReservedTable(u32),
    /// Two routes for one prefix in one table.
    #[error("{prefix} in table {table} is already route[{first}]; remove one of the two")]
    DuplicateRoute {
        /// The prefix.
        prefix: ipnet::IpNet,
        /// The table.
        table: Table,
        /// The index of the first section.
        first: usize,
    },
    /// A route that is wrong by itself.
    #[error(transparent)]
    Route(#[from] route::Invalid),
    /// A rule that is wrong by itself, or beside another.
    #[error(transparent)]
    Rule(#[from] rule::Invalid),
    /// A table's masquerading that is wrong by itself, or beside another.
    #[error(transparent)]
    Masquerade(#[from] masquerade::Invalid),
    /// A pool that is wrong by itself, or beside another.
    #[error(transparent)]
    Pool(#[from] Box<ipam::Invalid>),
    /// No URL of an API server.
    #[error("{0:?} is no API server's URL; write one such as \"https://10.0.1.2:6443\"")]
    NoServer(String),
    /// A host-local Service that is wrong by itself, or beside another.
    #[error(transparent)]
    LocalService(#[from] local::Invalid),
}
