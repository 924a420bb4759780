//! What the node knows of its neighbours' Ethernet addresses.

mod delete;
mod list;
mod proxy;
mod set;

pub use self::proxy::Proxy;
