//! A log of its own, whose history is as long and as strange as a test needs.

use std::path::{Path, PathBuf};

use forgetd::audit::{Event, Log, RunFinished, RunOutcome, Sync};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

pub(crate) struct History {
    directory: TempDir,
    log: Log,
    now: Timestamp,
    runs: u64,
}

impl History {
    pub(crate) fn from(begin: &str) -> History {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let now = begin.parse().unwrap();
        let log = Log::open(&directory.path().join("audit"), &directory.path().join("keys/audit.key"), now).unwrap();
        History { directory, log, now, runs: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path().join("audit")
    }

    pub(crate) fn pass(&mut self, hours: i64) {
        self.now = self.now.checked_add(SignedDuration::from_hours(hours)).unwrap();
    }

    pub(crate) fn append(&mut self, event: &Event) {
        self.log.append(self.now, event, Sync::Later).unwrap();
    }

    pub(crate) fn begin(&mut self, rule: &str, because: &str, counted: u64) -> String {
        self.runs += 1;
        let run = format!("{:016x}", self.runs);
        self.append(&Event::RunStarted {
            run: run.clone(),
            rule: rule.to_owned(),
            digest: String::new(),
            shape: None,
            action: "erase-rows".to_owned(),
            because: because.to_owned(),
            cutoff: Some(self.now),
            counted,
            total: counted * 10,
            undatable: 0,
            on_hold: 0,
        });
        run
    }

    pub(crate) fn run(&mut self, rule: &str, outcome: RunOutcome, counted: u64, erased: u64) {
        let run = self.begin(rule, "sites/shop.example.toml keeps `visit` for 6 months", counted);
        self.append(&Event::RunFinished(finished(run, rule, outcome, counted, erased)));
    }

    pub(crate) fn seal(mut self) -> History {
        self.log.checkpoint().unwrap();
        self
    }
}

/// The end of a run in one batch.
pub(crate) fn finished(run: String, rule: &str, outcome: RunOutcome, counted: u64, erased: u64) -> RunFinished {
    RunFinished {
        run,
        rule: rule.to_owned(),
        outcome,
        erased,
        children: 2 * erased,
        left: counted - erased,
        arrived: 0,
        batches: 1,
        millis: 7,
        pending: None,
        reason: (outcome != RunOutcome::Done).then(|| format!("it was {}", outcome.key())),
        kept: Vec::new(),
    }
}

/// Half a year of nights, some of which did not go well.
pub(crate) fn history() -> History {
    let mut history = History::from("2026-01-01T02:30:00Z");
    for night in 0..180_u64 {
        history.pass(24);
        let outcome = match night % 30 {
            7 => RunOutcome::Interrupted,
            13 => RunOutcome::Failed,
            _ => RunOutcome::Done,
        };
        let erased = 100 + night % 17;
        let counted = if outcome == RunOutcome::Done { erased } else { erased + 5 };
        history.run("shop.example/chat/visitors", outcome, counted, erased);
    }
    history.seal()
}
