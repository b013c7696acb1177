//! A long audit log, and how fast it is verified.

use std::fs;
use std::path::Path;

use forgetd::audit::{Event, Log, Sync};

use crate::figures::{Took, now};
use crate::installation;

/// Writes a log of `entries` entries in the proportion in which a daemon does, and verifies it with the built program
/// `rounds` times.
pub(crate) fn verify(dir: &Path, entries: u64, rounds: usize) -> Vec<Took> {
    let (log, key) = (dir.join("audit"), dir.join("audit.key"));
    let _absent = (fs::remove_dir_all(&log), fs::remove_file(&key));
    write(&log, &key, entries);
    let took = (0..rounds).map(|_| installation::verify(&log)).collect();
    fs::remove_dir_all(&log).unwrap();
    fs::remove_file(&key).unwrap();
    took
}

fn write(log: &Path, key: &Path, entries: u64) {
    let time = jiff::Timestamp::from_second(now()).unwrap();
    let mut log = Log::open(log, key, time).unwrap();
    let run = "0123456789abcdef".to_owned();
    let mut batch = 0;
    while log.size() < entries {
        batch += 1;
        let prepared =
            Event::BatchPrepared { run: run.clone(), batch, rows: 5_000, children: 12_000, transaction: None };
        log.append(time, &prepared, Sync::Later).unwrap();
        let committed = Event::BatchCommitted { run: run.clone(), batch, rows: 5_000 };
        log.append(time, &committed, Sync::Later).unwrap();
    }
    log.checkpoint().unwrap();
}
