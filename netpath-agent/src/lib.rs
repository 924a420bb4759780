//! netpath's user space: the daemon `netpath-agent` and the operator's command `netpath`.

pub mod config;
pub mod name;
pub mod netlink;
pub mod route;
