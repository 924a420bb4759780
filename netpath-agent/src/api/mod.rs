//! The agent's API: HTTP and JSON on a unix socket that only root may open.
//!
//! ```text
//! GET    /v1/status
//! GET    /v1/endpoints            POST /v1/endpoints    DELETE /v1/endpoints/NAME
//! GET    /v1/pods                 POST /v1/pods         POST /v1/pods/del
//! POST   /v1/pods/check           POST /v1/pods/gc      GET  /v1/ready[?network=]
//! GET    /v1/routes[?table=]      POST /v1/routes       DELETE /v1/routes?table=&prefix=
//! GET    /v1/rules
//! GET    /v1/counters             GET  /v1/counters/endpoints
//! GET    /v1/explain?source=&destination=[&protocol=&source_port=&destination_port=&parent=&mark=]
//! GET    /v1/ipam/pools           GET  /v1/ipam/addresses   GET /v1/ipam/check
//! POST   /v1/ipam/release         POST /v1/ipam/reserve
//! GET    /v1/services             POST /v1/services         POST /v1/services/endpoints
//! GET    /v1/services/NAMESPACE/NAME                        DELETE /v1/services/NAMESPACE/NAME
//! ```
//! An addition answers 201, or 200 when the same was there already. A removal answers with what was
//! removed, or 404. A list of Services is answered item by item. Errors are `{"error": ..., "field": ..., "code": ...}` with the status that fits;
//! `code` is one of [`crate::pod::code`].

pub mod client;
pub mod command;
pub mod ipam;
mod listen;
mod server;
pub mod services;
pub mod types;

pub use self::{
    client::Client,
    command::Command,
    listen::{ListenError, listen},
    server::serve,
};

#[cfg(test)]
mod tests;
