//! What the application notices: a writer that records visits in the same database, one small transaction each.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::params;

use crate::figures::now;
use crate::latencies::Latencies;
use crate::peers;
use crate::rows::{agent, ip, url};
use crate::table::INSERT;

/// Between two visits: a website with two hundred a second, were nobody in its way.
const BETWEEN_VISITS: Duration = Duration::from_millis(5);

/// Writes to the database at `path` for as long as `work` takes.
pub(crate) fn beside<T>(path: &Path, work: impl FnOnce() -> T) -> (T, Latencies) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| visits(path, &ended));
        let result = work();
        ended.store(true, Ordering::Relaxed);
        (result, Latencies::new(writer.join().unwrap(), 0))
    })
}

fn visits(path: &Path, ended: &AtomicBool) -> Vec<Duration> {
    let connection = peers::open(path);
    let mut insert = connection.prepare(INSERT).unwrap();
    let mut latencies = Vec::new();
    let mut number = 0;
    while !ended.load(Ordering::Relaxed) {
        number += 1;
        let started = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        insert.execute(params![now(), ip(number), agent(number), url(number), "Brno"]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        latencies.push(started.elapsed());
        thread::sleep(BETWEEN_VISITS);
    }
    latencies
}
