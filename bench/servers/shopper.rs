//! What the application notices: it records visits in the same table, on a schedule that waits for nobody.
//!
//! A latency counts from the instant at which the transaction was due, not from the one at which it could begin:
//! while one waits for a lock, those behind it on the same connection wait too, and that must show.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::latencies::Latencies;

/// A shop has several workers, each with a connection of its own.
const WORKERS: u32 = 8;

/// From one transaction of a worker to its next: two hundred a second, of all together.
const BETWEEN_TRANSACTIONS: Duration = Duration::from_millis(40);

/// How long the application is at work before anything else begins.
const WARM_UP: Duration = Duration::from_millis(500);

/// One transaction of the application, by its number: whether it succeeded.
pub(crate) type Transaction = Box<dyn FnMut(u32) -> bool + Send>;

/// What an application did meanwhile.
pub(crate) struct Shopping {
    /// From when the work beside it began until it ended.
    pub(crate) latencies: Latencies,
    /// Transactions that succeeded, each of which recorded a visitor.
    pub(crate) recorded: u64,
}

/// Does `work` while the application is at work, on connections that `connect` makes.
pub(crate) fn beside<T>(connect: impl Fn() -> Transaction, work: impl FnOnce() -> T) -> (T, Shopping) {
    let ended = AtomicBool::new(false);
    let start = Instant::now() + WARM_UP / 2;
    thread::scope(|scope| {
        let shop = |worker| {
            let (transaction, ended) = (connect(), &ended);
            let first = start + BETWEEN_TRANSACTIONS * worker / WORKERS;
            scope.spawn(move || shop(transaction, worker, first, ended))
        };
        let workers: Vec<_> = (0..WORKERS).map(shop).collect();
        thread::sleep(WARM_UP);
        let began = Instant::now();
        let result = work();
        let end = Instant::now();
        ended.store(true, Ordering::Relaxed);
        let done: Vec<Done> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
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

fn shop(mut transaction: Transaction, worker: u32, first: Instant, ended: &AtomicBool) -> Vec<Done> {
    let mut done = Vec::new();
    let mut end = None;
    for turn in 0.. {
        let due = first + BETWEEN_TRANSACTIONS * turn;
        if ended.load(Ordering::Relaxed) && due > *end.get_or_insert_with(Instant::now) {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let succeeded = transaction(turn * WORKERS + worker);
        done.push(Done { due, latency: due.elapsed(), succeeded });
    }
    done
}
