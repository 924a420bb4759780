//! Addresses that pods keep when they are made anew, on whichever node: `FixedIP`.
//!
//! Who has which address stands in two places. A block without a node says which `FixedIP` an address
//! is of, by its UID, which never comes back: so no two have one. And a `FixedIP` says which node has
//! its addresses now. A node writes its own name there before it uses them, only where there is none;
//! and takes it out after it has withdrawn them: so they are never in two places. Both are changed by
//! optimistic concurrency alone.
//!
//! | file | part |
//! | --- | --- |
//! | `error` | why a pod does not get its addresses |
//! | `record` | which address is whose, in blocks |
//! | `hold` | a node takes the addresses, and lets them go |
//! | `dead` | nodes that can not let go by themselves |
//! | `keeper` | what becomes of them while no pod asks |

mod dead;
mod error;
mod hold;
mod keeper;
mod record;

use std::time::Duration;

use kube::{Api, Client, ResourceExt as _};
use serde::{Deserialize, Serialize};

use self::dead::Dead;
pub use self::{
    error::Error,
    keeper::{Keeper, Place},
};
use super::{
    objects::Node,
    request::{Failed, ask},
    types::{Fixed, FixedIP, IPBlock, Owner},
};
use crate::pod::GivenAddress;

/// How long is waited, and how often is looked.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For another node to let go, and for the API server to do what it is asked.
    pub patience: Duration,
    /// Between two looks meanwhile.
    pub poll: Duration,
    /// For how long a node's object must be missing until the node is dead.
    pub gone: Duration,
    /// Between two looks at what is held, if nothing happens.
    pub turn: Duration,
    /// The longest that an agent waits for others to do what any of them can.
    pub courtesy: Duration,
    /// Between two looks at what nobody holds.
    pub collect: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            poll: Duration::from_millis(250),
            gone: Duration::from_mins(1),
            turn: Duration::from_secs(5),
            courtesy: Duration::from_secs(3),
            collect: Duration::from_mins(5),
        }
    }
}

/// Addresses that this node has. They are stored, so that their pod can be attached while the API server is
/// silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whose they are.
    pub owner: Owner,
    /// The UID of the `FixedIP`.
    pub uid: String,
    /// The addresses, IPv4 first.
    pub addresses: Vec<GivenAddress>,
    /// Whether the API server was asked to let them go: they are this node's only once it has said so
    /// again.
    #[serde(default)]
    pub leaving: bool,
}

/// What a pod asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The pod.
    pub owner: &'a Owner,
    /// Which addresses.
    pub fixed: &'a Fixed,
    /// The pools to choose from, in order of preference.
    pub pools: &'a [String],
}

/// The `FixedIP`s of the cluster, as a node asks for them.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    blocks: Api<IPBlock>,
    nodes: Api<Node>,
    node: String,
    timing: Timing,
    dead: Dead,
}

impl Registry {
    /// For a node of this name.
    #[must_use]
    pub fn new(client: Client, node: &str, timing: Timing) -> Self {
        Self {
            blocks: Api::all(client.clone()),
            nodes: Api::all(client.clone()),
            client,
            node: node.to_owned(),
            timing,
            dead: Dead::default(),
        }
    }

    fn api(&self, owner: &Owner) -> Api<FixedIP> {
        Api::namespaced(self.client.clone(), &owner.namespace)
    }

    async fn get(&self, owner: &Owner) -> Result<Option<FixedIP>, Failed> {
        ask(|| format!("read FixedIP {owner}"), self.api(owner).get_opt(&owner.name)).await
    }

    /// Whether a `FixedIP` is this node's.
    fn is_own(&self, object: &FixedIP, uid: &str) -> bool {
        object.uid().as_deref() == Some(uid) && object.node() == Some(self.node.as_str())
    }
}
