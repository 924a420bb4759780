//! One at a time for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Who waits for which address.
#[derive(Debug, Default)]
pub(super) struct Turns {
    addresses: Mutex<HashMap<IpAddr, Weak<Turn<()>>>>,
}

impl Turns {
    /// Waits, in the order of arrival, until nobody else works with the address.
    pub(super) async fn take(&self, address: IpAddr) -> OwnedMutexGuard<()> {
        self.of(address).lock_owned().await
    }

    fn of(&self, address: IpAddr) -> Arc<Turn<()>> {
        // Nothing panics while it holds the lock.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = addresses.get(&address).and_then(Weak::upgrade) {
            return turn;
        }
        // As many entries as addresses at work, and those finished since the last newcomer.
        addresses.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        addresses.insert(address, Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn is_mine(turn: impl Future<Output = OwnedMutexGuard<()>>) -> bool {
        let turn = std::pin::pin!(turn);
        matches!(turn.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    }

    #[test]
    fn an_address_is_one_at_a_time() {
        let turns = Turns::default();
        let [a, b] = ["10.0.0.1", "fd00::1"].map(|text| text.parse().unwrap());
        let first = turns.of(a).try_lock_owned().unwrap();
        assert!(!is_mine(turns.take(a)), "while another has it");
        assert!(is_mine(turns.take(b)), "of another address");
        drop(first);
        assert!(is_mine(turns.take(a)), "after the other");
        assert_eq!(turns.addresses.lock().unwrap().len(), 1, "b left when a came back");
    }
}
