//! Endpoints: pods' interfaces, and how they are wired to the node.

mod alone;
mod child;
mod compare;
mod device;
mod error;
mod link_local;
mod make;
mod nic;
mod record;
mod remove;
mod spec;
mod wiring;

pub use self::{
    child::Child,
    device::{device_name, is_device},
    error::Error,
    link_local::link_local,
    nic::{Nic, nic_mark, settle_nic},
    record::{Attached, Record, Stage},
    remove::unwire,
    spec::{EndpointSpec, Invalid},
    wiring::Wiring,
};
