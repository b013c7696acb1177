//! What the application notices: it records visits in the same table, on a schedule that waits for nobody.
//!
//! A latency counts from the instant at which the transaction was due, not from the one at which it could begin:
//! while one waits for a lock, those behind it wait too, and that must show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::latencies::Latencies;

/// Two hundred transactions a second.
const BETWEEN_TRANSACTIONS: Duration = Duration::from_millis(5);

/// How long the application is at work before anything else begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// What an application did meanwhile.
pub(crate) struct Shopping {
    /// From when the work beside it began until it ended.
    pub(crate) latencies: Latencies,
    /// Transactions that succeeded, each of which recorded a visitor.
    pub(crate) recorded: u64,
}

/// Does `work` while `transaction` is done again and again, which says whether it succeeded.
pub(crate) fn beside<T>(
    transaction: impl FnMut(u32) -> bool + Send,
    work: impl FnOnce() -> T,
) -> (T, Shopping) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let shopper = scope.spawn(|| shop(transaction, &ended));
        thread::sleep(WARM_UP);
        let began = Instant::now();
        let result = work();
        let end = Instant::now();
        ended.store(true, Ordering::Relaxed);
        let done = shopper.join().unwrap();
        let recorded = done.iter().filter(|done| done.succeeded).count().try_into().unwrap();
        let meanwhile: Vec<&Done> = done.iter().filter(|done| (began..end).contains(&done.due)).collect();
        let errors = meanwhile.iter().filter(|done| !done.succeeded).count();
        let latencies = Latencies::new(meanwhile.iter().map(|done| done.latency).collect(), errors);
        (result, Shopping { latencies, recorded })
    })
}

struct Done {
    due: Instant,
    latency: Duration,
    succeeded: bool,
}

fn shop(mut transaction: impl FnMut(u32) -> bool, ended: &AtomicBool) -> Vec<Done> {
    let (start, mut done) = (Instant::now(), Vec::new());
    let mut end = None;
    for number in 1.. {
        let due = start + BETWEEN_TRANSACTIONS * number;
        if ended.load(Ordering::Relaxed) {
            // What was due before the end is still done: it had to wait.
            let end = *end.get_or_insert_with(Instant::now);
            if due > end {
                break;
            }
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let succeeded = transaction(number);
        done.push(Done { due, latency: due.elapsed(), succeeded });
    }
    done
}
