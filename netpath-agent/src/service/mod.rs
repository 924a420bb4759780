//! Services: addresses that stand for backends.
//!
//! | file | part |
//! | --- | --- |
//! | `table` | what the kernel's tables say of them |

pub mod table;

pub use table::{BackendKey, Entry};
