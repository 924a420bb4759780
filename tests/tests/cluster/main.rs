//! Nodes take addresses of the cluster's pools and give them back: several of them at once, against one
//! API server that fails, is slow and loses answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod blocks;
mod cluster;
mod fixed;
mod keeping;
mod node;
mod pods;
