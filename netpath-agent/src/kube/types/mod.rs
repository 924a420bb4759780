//! netpath's custom resources, group `netpath.io`, and what the agent makes of them.
//!
//! | kind | whose | what |
//! | --- | --- | --- |
//! | [`IPPool`] | people's | addresses for the pods of the whole cluster |
//! | [`IPBlock`] | the agents' | a part of a pool, and the node that hands it out |
//! | [`FixedIP`] | both | addresses that a pod keeps when it is made anew |
//! | [`Network`] | people's | how pods are attached that ask for it |
//! | [`NodeNetwork`] | the agents' | what a node has, and how it is doing |
//!
//! Objects are read leniently: one that an agent could not read at all would hide all others of
//! its kind. So fields are texts here, unknown ones are passed over, and what is wrong with an
//! object is found when it is converted, and told in its conditions.

#![expect(unreachable_pub, reason = "kube's derive repeats each struct inside a function")]
#![expect(clippy::duplicated_attributes, reason = "columns of kube's derive may have one type")]

mod crd;
mod error;
mod fixed_ip;
mod ip_block;
mod ip_pool;
mod name;
mod network;
mod node_network;
mod quantity;
mod route;
mod selector;
mod wishes;

pub use self::{
    crd::{File, all, files},
    error::{Invalid, Problem},
    fixed_ip::{FINALIZER, FixedIP, FixedIPSpec, FixedIPStatus, Owner},
    ip_block::{FIXED_LABEL, IPBlock, IPBlockSpec, NODE_LABEL, POOL_LABEL},
    ip_pool::{IPPool, IPPoolSpec, IPPoolStatus, Pool},
    name::label_value,
    network::{Network, NetworkSpec, NetworkStatus, Wiring},
    node_network::{NodeNetwork, NodeNetworkSpec, NodeNetworkStatus, ParentStatus},
    quantity::bits_per_second,
    route::NetworkRoute,
    selector::selector,
    wishes::{Fixed, Wishes, annotation},
};

#[cfg(test)]
mod tests;
