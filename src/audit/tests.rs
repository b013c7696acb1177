//! What the log promises, provoked from outside: files are cut, bent, removed and replaced under it.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::*;

mod append;
mod entries;
mod index;
mod notes;
mod publish;
mod rotate;
mod start;
mod tamper;
mod unreadable;
mod verdicts;

/// Something done to a file's content.
type Damage = dyn Fn(&mut Vec<u8>);

/// A state directory with a log's directory and its key.
struct Place {
    state: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { state: TempDir::new().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.state.path().join("audit")
    }

    fn key(&self) -> PathBuf {
        self.state.path().join("keys/audit.key")
    }

    fn paths(&self) -> Paths {
        Paths::new(&self.dir())
    }

    fn open(&self) -> Result<Log, AuditError> {
        Log::open(&self.dir(), &self.key(), at(0))
    }

    /// A log of `size` entries, all signed.
    fn with(size: u64) -> Place {
        let place = Place::new();
        let mut log = place.open().unwrap();
        for n in 1..size {
            log.append(at(n), &event(n), Sync::Later).unwrap();
        }
        log.checkpoint().unwrap();
        place
    }

    fn text(&self) -> String {
        fs::read_to_string(self.paths().log).unwrap()
    }

    fn rewrite(&self, change: impl FnOnce(&mut Vec<u8>)) {
        rewrite(&self.paths().log, change);
    }

    fn verdict(&self) -> Verdict {
        verify(&self.dir(), &[]).unwrap().verdict
    }
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn at(seconds: u64) -> Timestamp {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(i64::try_from(seconds).unwrap())
}

fn event(batch: u64) -> Event {
    Event::BatchPrepared { run: "r1".to_owned(), batch, rows: 500 + batch, children: 3, transaction: None }
}
