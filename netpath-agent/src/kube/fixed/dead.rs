//! Nodes that can not let go by themselves: those whose object is gone, and those of which somebody has
//! said that they are off.
//!
//! A node whose object has just gone may live on for a while, and its agent withdraws what others take:
//! until then it is given some time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use super::Registry;
use crate::kube::request::{Failed, ask};

/// What says that a node is off (Kubernetes, non-graceful node shutdown).
const OFF: &str = "node.kubernetes.io/out-of-service";

/// Nodes without an object, and since when that is known here: their clocks may differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Dead(Arc<Mutex<HashMap<String, Instant>>>);

impl Dead {
    /// Notes whether there is an object. Returns since when there is none.
    fn note(&self, node: &str, is_there: bool) -> Option<Instant> {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_there {
            missing.remove(node);
            return None;
        }
        Some(*missing.entry(node.to_owned()).or_insert_with(Instant::now))
    }
}

impl Registry {
    /// Whether a node can not let go by itself.
    pub(super) async fn is_dead(&self, node: &str) -> Result<bool, Failed> {
        let found = ask(|| format!("look for node {node}"), self.nodes.get_opt(node)).await?;
        let missing = self.dead.note(node, found.is_some());
        let is_off = found.is_some_and(|node| node.taints().any(|taint| taint == OFF));
        Ok(is_off || missing.is_some_and(|since| since.elapsed() >= self.timing.gone))
    }
}
