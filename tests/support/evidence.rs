//! What the audit log and the register say of the runs of one rule, added up without the code that wrote them.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::Path;

use forgetd::audit::{BatchOutcome, Entry, Event, RunOutcome, read};
use rusqlite::Connection;

/// Every entry of the log in a state directory; none where it has not begun.
pub(crate) fn entries(state: &Path) -> Vec<Entry> {
    if !state.join("audit/log.jsonl").exists() {
        return Vec::new();
    }
    read::entries(&state.join("audit"), 0).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What the log says of all batches: sums of those that were committed, and of those without an outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) rows: u64,
    pub(crate) children: u64,
    pub(crate) open: BTreeMap<(String, u64), (u64, u64)>,
    /// Batches that did a part of what was announced.
    pub(crate) partial: u64,
}

impl Evidence {
    pub(crate) fn read(state: &Path) -> Evidence {
        let mut evidence = Evidence::default();
        for entry in entries(state) {
            evidence.take_in(entry.event);
        }
        evidence
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::BatchPrepared { run, batch, rows, children, .. } => {
                assert_eq!(self.open.insert((run, batch), (rows, children)), None, "prepared twice");
            }
            Event::BatchCommitted { run, batch, rows } => self.close(run, batch, Some(rows)),
            Event::BatchRolledBack { run, batch, .. } => self.close(run, batch, None),
            Event::BatchResolved { run, batch, outcome, rows, children } => {
                let committed = outcome == BatchOutcome::Committed;
                let prepared = self.open[&(run.clone(), batch)];
                assert_eq!(children, if committed { prepared.1 } else { 0 });
                assert_eq!(committed, rows > 0);
                self.close(run, batch, committed.then_some(rows));
            }
            _ => {}
        }
    }

    fn close(&mut self, run: String, batch: u64, committed: Option<u64>) {
        let (prepared, children) = self.open.remove(&(run, batch)).expect("an outcome has its batch");
        let Some(rows) = committed else { return };
        assert!(rows <= prepared, "more than was announced");
        self.partial += u64::from(rows < prepared);
        self.rows += rows;
        self.children += children;
    }

    /// What is gone was announced before: by batches known to be committed, or by one more whose outcome is still open.
    pub(crate) fn accounts_for(&self, gone: u64) {
        let open: Vec<u64> = self.open.values().map(|(rows, _)| *rows).collect();
        assert!(open.len() <= 1, "{open:?}");
        assert!(gone == self.rows || gone == self.rows + open.iter().sum::<u64>(), "{gone} are gone: {self:?}");
    }

    /// The same without transactions: of the batch whose outcome is open any part may be gone.
    pub(crate) fn accounts_for_files(&self, gone: u64) {
        assert!(self.open.len() <= 1, "{:?}", self.open);
        let open: u64 = self.open.values().map(|(rows, _)| *rows).sum();
        assert!((self.rows..=self.rows + open).contains(&gone), "{gone} are gone: {self:?}");
    }
}

/// Every run that began has ended once, in the log and in the register alike, and together they erased what is gone:
/// records and rows that belonged to them.
pub(crate) fn runs_agree(state: &Path, rule: &str, gone: (u64, u64)) {
    let mut runs: BTreeMap<String, (RunOutcome, u64, u64)> = BTreeMap::new();
    let mut begun = Vec::new();
    for entry in entries(state) {
        match entry.event {
            Event::RunFinished(end) => {
                let twice = runs.insert(end.run, (end.outcome, end.erased, end.children));
                assert_eq!(twice, None, "a run ended twice");
            }
            Event::RunStarted { run, .. } => begun.push(run),
            _ => {}
        }
    }
    begun.sort();
    assert_eq!(begun, runs.keys().cloned().collect::<Vec<_>>());
    let sums = runs.values().fold((0, 0), |(rows, children), run| (rows + run.1, children + run.2));
    assert_eq!(sums, gone);
    let told: BTreeMap<_, _> =
        runs.into_iter().map(|(run, (outcome, rows, pages))| (run, (outcome.key().to_owned(), rows, pages))).collect();
    assert_eq!(recorded_runs(state, rule), told);
}

fn recorded_runs(state: &Path, rule: &str) -> BTreeMap<String, (String, u64, u64)> {
    let register = Connection::open(state.join("register.db")).unwrap();
    let sql = "SELECT run, outcome, erased, children FROM runs WHERE rule = ?1 AND finished_at IS NOT NULL";
    let mut statement = register.prepare(sql).unwrap();
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).unwrap().unsigned_abs();
    let rows = statement.query_map([rule], |row| Ok((row.get(0)?, (row.get(1)?, number(row, 2), number(row, 3)))));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
