//! The tables of Services and connections, in this machine's kernel. Needs root.
//!
//! | file | part |
//! | --- | --- |
//! | `world` | the tables, a second reader of them, and what they should have |
//! | `random` | thousands of changes, compared with a plain model |
//! | `full` | what does not fit |
//! | `adopt` | a successor |
//! | `flip` | who reads while a Service changes |
//! | `load` | ten thousand Services |
//! | `connections` | many connections |

mod adopt;
mod connections;
mod flip;
mod full;
mod load;
mod random;
mod world;
