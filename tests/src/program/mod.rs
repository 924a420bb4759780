//! Running the programs on frames, without a network: `BPF_PROG_TEST_RUN` on the running kernel,
//! and the oracle that says what must come out.
//!
//! | file | part |
//! | --- | --- |
//! | `room` | a private mount namespace, a node's network namespace with two parents, a pod's |
//! | `kernel` | the loaded programs, run on one frame |
//! | `frame`, `checksum` | frames as bytes |
//! | `plain`, `translated` | the tables as plain collections |
//! | `oracle` | what a program must do with a frame |
//! | `bench`, `empty` | what a run costs |
//! | `read` | a second parser, written apart from the programs' |

pub mod bench;
mod checksum;
mod empty;
pub mod frame;
pub mod kernel;
pub mod oracle;
pub mod plain;
mod read;
pub mod room;
mod translated;

use netpath_common::{CounterKey, Hook};

/// A frame and how it meets a program.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The hook.
    pub hook: Hook,
    /// Interface index of the parent.
    pub ifindex: u32,
    /// The host stack forwards the frame.
    pub forwarded: bool,
    /// Number of the network namespace whose socket sends it: one of the room's.
    pub namespace: u32,
    /// The skb's mark.
    pub mark: u32,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What a program does with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it returns.
    pub result: Return,
    /// The frame afterwards; XDP changes none.
    pub frame: Vec<u8>,
    /// The mark afterwards; 0 for XDP.
    pub mark: u32,
}

/// What a program returns, named as for TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// To the next program or the stack: `TC_ACT_UNSPEC`, `XDP_PASS`.
    Pass,
    /// `TC_ACT_SHOT`, `XDP_DROP`.
    Drop,
    /// `TC_ACT_REDIRECT`.
    Redirect,
    /// Anything else is an error.
    Other(u32),
}

/// A counter that moved: packets and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Of `counters`.
    Verdict(CounterKey),
    /// What the endpoint in a slot received.
    Received(u32),
    /// What the endpoint in a slot sent.
    Sent(u32),
}

/// Counters and what they stand at.
pub type Counters = std::collections::BTreeMap<Counter, (u64, u64)>;

/// What moved between two readings.
#[must_use]
pub fn moved(before: &Counters, after: &Counters) -> Counters {
    after
        .iter()
        .filter_map(|(counter, (packets, bytes))| {
            let (old_packets, old_bytes) = before.get(counter).copied().unwrap_or_default();
            let by = (packets - old_packets, bytes - old_bytes);
            (by != (0, 0)).then_some((*counter, by))
        })
        .collect()
}
