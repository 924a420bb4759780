//! Who works on what: one at a time on the same thing, everybody at once on different ones.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The right to work on something; it is given back when dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

/// The queues of what is being worked on, by name.
#[derive(Debug)]
pub(super) struct Turns<N>(HashMap<N, Weak<Mutex<()>>>);

impl<N> Default for Turns<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<N: Hash + Eq + Clone> Turns<N> {
    /// The queue of one of them. Turns are taken in the order in which they are asked for.
    pub(super) fn queue(&mut self, name: &N) -> Arc<Mutex<()>> {
        if let Some(queue) = self.0.get(name).and_then(Weak::upgrade) {
            return queue;
        }
        self.0.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        self.0.insert(name.clone(), Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::EndpointName;

    #[test]
    fn one_queue_an_endpoint_for_as_long_as_somebody_stands_in_it() {
        let mut turns = Turns::default();
        let [a, b]: [EndpointName; 2] = ["a", "b"].map(|name| name.parse().expect("name"));
        let first = turns.queue(&a);
        assert!(Arc::ptr_eq(&first, &turns.queue(&a)));
        assert!(!Arc::ptr_eq(&first, &turns.queue(&b)));
        assert!(first.try_lock().is_ok());
        let turn = Arc::clone(&first).try_lock_owned().expect("free");
        drop(first);
        assert!(turns.queue(&a).try_lock().is_err());
        drop(turn);
        turns.queue(&b);
        assert_eq!(turns.0.len(), 1);
    }
}
