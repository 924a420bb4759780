//! Connections that packets are translated by: how far they have come, and when they are forgotten.
//!
//! | file | part |
//! | --- | --- |
//! | `pair` | both directions of one, its state and its time |
//! | `sweep` | looking through all of them |

mod pair;
mod sweep;

pub use self::{
    pair::{Pair, State, Timeouts, is_stray},
    sweep::{Swept, move_on, pairs, sweep},
};
