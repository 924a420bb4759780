//! The qdisc that TC filters hang on.

mod delete;
