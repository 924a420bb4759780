//! What the cluster says of this node's pods: what they ask for by annotations, and the networks and
//! namespaces that go with it.
//!
//! | file | part |
//! | --- | --- |
//! | `directory` | what was heard, by pod |
//! | `said` | what is kept of it |
//! | `asked` | what follows from it |

mod asked;
mod directory;
mod said;

pub use self::{
    asked::{Asked, Error},
    directory::Directory,
    said::{Labels, Said},
};

#[cfg(test)]
mod tests;
