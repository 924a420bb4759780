//! The qdisc that TC filters hang on.

mod delete;
mod filter;
