//! Starting a CNI plugin as a container runtime does, and what it must refuse.
//!
//! Nothing here knows whether a true agent or a test's stands behind the plugin.

mod bad_input;
mod plugin;

pub use self::{
    bad_input::{BadInput, bad_inputs},
    plugin::{Ground, Invocation, Outcome, Plugin},
};
