//! What both sides of the kernel boundary share: addresses, the layouts of the tables, and the
//! decision itself.
//!
//! The decision ([`decide`]) is a pure function over the [`Tables`] trait. netpath-ebpf compiles it
//! over BPF maps, the agent compiles the same code over the live maps (`netpath explain`) and the
//! tests compile it over plain maps, as the oracle of differential fuzzing.

#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod address;
pub mod connection;
pub mod counter;
pub mod decide;
pub mod endpoint;
pub mod flow;
pub mod mac;
pub mod namespace;
pub mod neighbour;
pub mod node;
pub mod packet;
pub mod parent;
mod pod;
pub mod route;
pub mod service;
pub mod tables;
pub mod verdict;

pub use address::Address;
pub use connection::Connection;
pub use counter::{Count, Counter, CounterKey, EndpointCount, Hook};
pub use endpoint::{Attachment, Endpoint, EndpointEntry};
pub use flow::{Flow, FlowKey};
pub use mac::Mac;
pub use node::Node;
pub use packet::{Kind, Packet};
pub use parent::Parent;
pub use route::{Route, RouteKey};
pub use service::{
    Affinity, AffinityKey, Backend, BackendId, Run, Service, ServiceKey, Services, SocketKey,
    SocketPeer,
};
pub use tables::{Connections, NotNoted, Tables};
pub use verdict::{Action, Path, Reason, Verdict};

/// Version of the map layouts and of what their fields mean.
///
/// It is part of the directory that maps are pinned under, so that an agent never adopts maps of
/// another layout by mistake.
pub const ABI: u32 = if cfg!(feature = "next-abi") { 7 } else { 6 };

/// The mark of a packet between a program's redirect and the parent's TC ingress, which clears it.
///
/// A pod can set any mark on its own packets, but only netpath's egress program lets a packet reach
/// TC ingress with its mark kept: the ipvlan driver clears it where it crosses namespaces
/// (`skb_scrub_packet`), and packets from the wire carry none.
pub const MARK_REDIRECTED: u32 = 0x6e65_7470;
