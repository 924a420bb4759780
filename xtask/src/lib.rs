//! What `cargo xtask vm` and the first process of its guest agree on.

pub mod guest;
