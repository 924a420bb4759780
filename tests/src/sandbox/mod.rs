//! A VPC in network namespaces, and real programs in it.

pub mod address;
pub mod agent;
pub mod command;
pub mod frame;
pub mod kernel;
pub mod lab;
pub mod namespace;
pub mod pattern;
pub mod probe;
pub mod report;
pub mod scenario;
pub mod server;
pub mod table;
pub mod topology;
pub mod wait;
pub mod wire;
