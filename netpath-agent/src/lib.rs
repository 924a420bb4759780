//! netpath's user space: the daemon `netpath-agent` and the operator's command `netpath`.

pub mod announce;
pub mod api;
pub mod attachment;
pub mod cli;
pub mod cni;
pub mod config;
pub mod connection;
pub mod datapath;
pub mod diag;
pub mod endpoint;
pub mod error;
mod hash;
pub mod install;
pub mod ipam;
pub mod kube;
pub mod log;
pub mod masquerade;
pub mod name;
pub mod netfilter;
pub mod netlink;
pub mod node;
pub mod pci;
pub mod pod;
pub mod route;
pub mod rule;
pub mod service;
pub mod store;
