//! What the cluster is told: how nodes are, and which pools and networks can be used.
//!
//! | file | part |
//! | --- | --- |
//! | `node` | the reporter of a node, which keeps its `NodeNetwork` |
//! | `look` | how a node is, and the status that says it |
//! | `object` | the object at the API server |
//! | `ready` | the condition Ready |
//! | `publisher` | the status of pools and networks, which any agent keeps |
//! | `judge` | what that should say |
//! | `board` | which objects do not say it yet |

mod board;
mod error;
mod judge;
mod look;
mod node;
mod object;
mod publisher;
mod ready;

pub use self::{
    look::Look,
    node::{Reporter, Source, Timing},
    publisher::{Publisher, SPREAD},
    ready::Ready,
};
