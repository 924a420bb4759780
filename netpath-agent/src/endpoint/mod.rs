//! Endpoints: pods' interfaces, and how they are wired to the node.

mod child;
mod compare;
mod error;
mod link_local;
mod record;
mod spec;
mod wire;

pub use self::{
    child::Child,
    error::Error,
    link_local::link_local,
    record::{Attached, Record, Stage},
    spec::{EndpointSpec, Invalid},
    wire::{Wiring, unwire},
};
