//! Several things at once.

use std::thread;

use anyhow::{Result, anyhow};

/// Does everything at once, each in a thread of its own, and returns what came of it, in order. An
/// error if one panicked.
pub fn together<T, Job>(jobs: impl IntoIterator<Item = Job>) -> Result<Vec<T>>
where
    T: Send,
    Job: FnOnce() -> T + Send,
{
    thread::scope(|scope| {
        // All of them run before the first is waited for.
        let running: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        let ended: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended.into_iter().map(|one| one.map_err(|_| anyhow!("a thread panicked"))).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_run_at_once_and_answer_in_order() {
        let barrier = Barrier::new(3);
        let jobs = [1, 2, 3].map(|number| {
            let barrier = &barrier;
            move || {
                barrier.wait();
                number
            }
        });
        assert_eq!(together(jobs).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_panic_is_an_error() {
        let jobs = [false, true].map(|bad| move || assert!(!bad));
        assert!(together(jobs).is_err());
    }
}
