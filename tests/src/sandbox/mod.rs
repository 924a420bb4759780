//! A VPC in network namespaces, and real programs in it.

pub mod address;
pub mod agent;
pub mod churn;
pub mod command;
pub mod counter;
pub mod forgery;
pub mod frame;
pub mod host;
pub mod kernel;
pub mod lab;
pub mod namespace;
pub mod pattern;
pub mod power;
pub mod probe;
pub mod process;
pub mod question;
pub mod report;
pub mod runtime;
pub mod scenario;
pub mod server;
pub mod snapshot;
pub mod table;
pub mod topology;
pub mod traffic;
pub mod wait;
pub mod wire;
