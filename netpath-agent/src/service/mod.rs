//! Services: who answers for an address that is nobody's own, as Kubernetes means it.
//!
//! | file | part |
//! | --- | --- |
//! | `name`, `spec` | what a Service is, as people and programs write it |
//! | `check` | what can be wrong with one |
//! | `select`, `resolve` | which backends are chosen on this node, and the entries that say so |
//! | `maglev` | a choice that is the same on every node |
//! | `local` | backends of this node's own |
//! | `ids`, `registry` | all Services, and what a change of one changes |
//! | `read`, `file` | lists of Services |
//! | `bound`, `health` | sockets of the node, and its answers to load balancers |
//! | `table` | what the kernel's tables say of a port |

pub mod bound;
mod check;
pub mod file;
pub mod health;
mod ids;
pub mod local;
mod maglev;
mod name;
mod read;
pub mod registry;
pub mod resolve;
pub mod select;
mod spec;
pub mod table;

pub use self::{
    check::{Invalid, Problem},
    name::{BadName, ServiceName},
    read::{Item, Unreadable, items},
    spec::{Policy, PortSpec, Protocol, ServiceEndpoint, ServiceSpec, Target},
    table::{BackendKey, Entry},
};

#[cfg(test)]
mod samples;
