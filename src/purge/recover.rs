//! Finishing what a dead process left: the outcome of a batch in flight, and of its run.
//!
//! Whoever holds the rule's lock next does it, before anything else is done with the rule, from three witnesses: the
//! batch in flight, the run's entries in the audit log, and the store itself.

use jiff::Timestamp;

use super::in_flight::{Before, Header, InFlight};
use super::state::{RuleLock, State, StateError};
use crate::audit::{BatchOutcome, Event, RunFinished, RunOutcome, Sync, read};
use crate::register::{FinishedRun, RunStart};
use crate::store::{self, Committed, Resolution, Selection, StoreError};

/// Why a run that was interrupted has no outcome yet.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store cannot be asked whether the last batch was committed.
    #[error("an interrupted run cannot be resolved: {0}")]
    Store(#[from] StoreError),
}

impl From<crate::audit::AuditError> for RecoverError {
    fn from(error: crate::audit::AuditError) -> RecoverError {
        RecoverError::State(error.into())
    }
}

impl From<crate::register::RegisterError> for RecoverError {
    fn from(error: crate::register::RegisterError) -> RecoverError {
        RecoverError::State(error.into())
    }
}

/// Said of a run that has no end of its own.
const INTERRUPTED: &str = "the process ended during the run, or could not find out how its last batch ended";

/// Resolves every interrupted run that nobody else is at work on. Returns the names of their rules with the error of
/// those that cannot be resolved now.
///
/// # Errors
/// The state cannot be read or written.
pub fn recover_all(state: &mut State, now: Timestamp) -> Result<Vec<StoreError>, StateError> {
    let mut unresolved = Vec::new();
    for name in InFlight::names(&state.paths)? {
        let Some(_lock) = RuleLock::try_acquire(&state.paths, &name)? else { continue };
        match recover(state, &name, now) {
            Ok(()) => {}
            Err(RecoverError::Store(error)) => unresolved.push(error),
            Err(RecoverError::State(error)) => return Err(error),
        }
    }
    Ok(unresolved)
}

/// Resolves the interrupted run of the rule filed under `name`, if there is one. The caller holds the rule's lock.
pub(super) fn recover(state: &mut State, name: &str, now: Timestamp) -> Result<(), RecoverError> {
    let in_flight = InFlight::of(&state.paths, name);
    let Some((header, keys)) = in_flight.read()? else { return Ok(()) };
    let mut seen = entries_of(state, &header)?;
    if let Some(started) = seen.started {
        let finished = match seen.finished.take() {
            Some(finished) => finished,
            None => {
                resolve_batches(state, &header, &keys, &mut seen, now)?;
                finish(state, &header, &seen, now)?
            }
        };
        // Also where the process died between the run's end and its seal.
        state.log.checkpoint()?;
        close_in_register(state, &header, (started, seen.counted), &finished, now)?;
    }
    in_flight.remove()?;
    Ok(())
}

/// What the audit log says of one run.
#[derive(Debug, Default)]
struct Seen {
    started: Option<Timestamp>,
    counted: u64,
    finished: Option<RunFinished>,
    erased: u64,
    children: u64,
    batches: u64,
    /// Batches without an outcome: number, rows, children.
    open: Vec<(u64, u64, u64)>,
}

impl Seen {
    /// A batch has ended, and this is what it did.
    fn settle(&mut self, batch: u64, did: impl FnOnce(Committed) -> Committed) {
        let Some(at) = self.open.iter().position(|(number, ..)| *number == batch) else { return };
        let (_, rows, children) = self.open.remove(at);
        let Committed { rows, children } = did(Committed { rows, children });
        self.erased += rows;
        self.children += children;
    }

    fn take_in(&mut self, time: Timestamp, event: &Event) {
        match event {
            Event::RunStarted { counted, .. } => {
                self.started = Some(time);
                self.counted = *counted;
            }
            Event::BatchPrepared { batch, rows, children, .. } => {
                self.batches += 1;
                self.open.push((*batch, *rows, *children));
            }
            Event::BatchCommitted { batch, rows, .. } => {
                self.settle(*batch, |prepared| Committed { rows: *rows, ..prepared });
            }
            Event::BatchRolledBack { batch, .. } => self.settle(*batch, |_| Committed::default()),
            Event::BatchResolved { batch, rows, children, .. } => {
                self.settle(*batch, |_| Committed { rows: *rows, children: *children });
            }
            Event::RunFinished(finished) => self.finished = Some(finished.clone()),
            _ => {}
        }
    }
}

fn entries_of(state: &State, header: &Header) -> Result<Seen, RecoverError> {
    let mut seen = Seen::default();
    for entry in read::entries(&state.paths.audit(), header.first_entry)? {
        let entry = entry?;
        if entry.event.run() == Some(header.run.as_str()) {
            seen.take_in(entry.time, &entry.event);
        }
    }
    Ok(seen)
}

/// Finds out and records how each batch without an outcome ended.
fn resolve_batches(
    state: &mut State,
    header: &Header,
    keys: &[u8],
    seen: &mut Seen,
    now: Timestamp,
) -> Result<(), RecoverError> {
    for (batch, rows, children) in seen.open.clone() {
        let resolution = if batch < header.batch { before(header, rows) } else { asks_store(header, keys)? };
        let (outcome, did) = outcome_of(resolution, Committed { rows, children });
        let Committed { rows, children } = did;
        let event = Event::BatchResolved { run: header.run.clone(), batch, outcome, rows, children };
        state.log.append(now, &event, Sync::Now)?;
        seen.settle(batch, |_| did);
    }
    Ok(())
}

/// How a batch ended, and what it did of what was prepared.
pub(super) fn outcome_of(resolution: Resolution, prepared: Committed) -> (BatchOutcome, Committed) {
    match resolution {
        Resolution::Committed => (BatchOutcome::Committed, prepared),
        Resolution::Part(rows) => (BatchOutcome::Committed, Committed { rows, children: 0 }),
        Resolution::RolledBack => (BatchOutcome::RolledBack, Committed::default()),
    }
}

/// The batch before the one in flight was committed, or its rollback would stand in the log. What it did exactly is
/// said with the one that followed.
fn before(header: &Header, prepared: u64) -> Resolution {
    match header.before {
        Some(Before { rows }) if rows != prepared => Resolution::Part(rows),
        _ => Resolution::Committed,
    }
}

fn asks_store(header: &Header, keys: &[u8]) -> Result<Resolution, StoreError> {
    // Holds placed since the crash would hide rows that are still there: they are left out of the question.
    let selection =
        Selection { rule: (&header.definition).into(), now: header.now, cutoff: header.cutoff, holds: Vec::new() };
    store::open(&header.definition).resolve(&selection, keys)
}

fn finish(state: &mut State, header: &Header, seen: &Seen, now: Timestamp) -> Result<RunFinished, RecoverError> {
    let finished = RunFinished {
        run: header.run.clone(),
        rule: header.definition.rule().to_string(),
        outcome: RunOutcome::Interrupted,
        erased: seen.erased,
        children: seen.children,
        left: seen.counted.saturating_sub(seen.erased),
        arrived: 0,
        batches: seen.batches,
        millis: 0,
        pending: None,
        reason: Some(INTERRUPTED.to_owned()),
        kept: Vec::new(),
    };
    state.log.append(now, &Event::RunFinished(finished.clone()), Sync::Now)?;
    Ok(finished)
}

/// Brings the register's row of the run up to what the audit log says, wherever the process died between the two.
fn close_in_register(
    state: &mut State,
    header: &Header,
    (started, counted): (Timestamp, u64),
    finished: &RunFinished,
    now: Timestamp,
) -> Result<(), RecoverError> {
    let rule = header.definition.rule().as_str();
    let digest = header.definition.digest();
    let run = RunStart { run: &header.run, rule, digest: &digest, cutoff: header.cutoff, counted };
    state.register.start_run(&run, started)?;
    state.register.finish_run(&outcome_row(finished, started, counted), now)?;
    Ok(())
}

/// The register's row for a `run.finished` entry.
pub(super) fn outcome_row(finished: &RunFinished, started_at: Timestamp, counted: u64) -> FinishedRun {
    FinishedRun {
        run: finished.run.clone(),
        rule: finished.rule.clone(),
        started_at,
        finished_at: None,
        outcome: Some(finished.outcome.key().to_owned()),
        counted,
        erased: finished.erased,
        children: finished.children,
        left: Some(finished.left),
        pending: finished.pending.clone(),
        reason: finished.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(batch: u64, rows: u64, children: u64) -> Event {
        Event::BatchPrepared { run: "r".to_owned(), batch, rows, children, transaction: None }
    }

    #[test]
    fn what_a_run_has_erased_is_what_its_entries_say_together() {
        let run = || "r".to_owned();
        let mut seen = Seen::default();
        let events = [
            prepared(1, 500, 7),
            Event::BatchCommitted { run: run(), batch: 1, rows: 499 },
            prepared(2, 400, 5),
            Event::BatchRolledBack { run: run(), batch: 2, reason: "locked".to_owned() },
            prepared(3, 300, 3),
            Event::BatchResolved { run: run(), batch: 3, outcome: BatchOutcome::Committed, rows: 20, children: 2 },
            prepared(4, 200, 1),
            prepared(5, 100, 1),
            Event::BatchCommitted { run: run(), batch: 5, rows: 100 },
        ];
        events.iter().for_each(|event| seen.take_in(Timestamp::UNIX_EPOCH, event));
        assert_eq!((seen.batches, seen.erased, seen.children), (5, 619, 10));
        assert_eq!(seen.open, [(4, 200, 1)]);
    }

    /// The second batch of a run in flight, and what is said in it of the first.
    fn in_flight(before: &str) -> Header {
        let header = format!(
            r#"{{"run":"r","definition":{{"directory":{{"rule":"shop.example/files","directory":{{"path":"/srv/absent",
            "pattern":"*","age":"modified","settle":{{"secs":0,"nanos":0}}}},"when":"not-stored","zone":"UTC"}}}},
            "now":"2027-03-01T12:00:00Z","cutoff":null,"first_entry":1,"batch":2,"before":{before}}}"#
        );
        serde_json::from_str(&header).unwrap()
    }

    #[test]
    fn a_batch_before_the_one_in_flight_was_committed_with_as_many_as_that_one_says() {
        let resolved = |said, rows| outcome_of(before(&in_flight(said), rows), Committed { rows, children: 4 });
        let committed = |rows, children| (BatchOutcome::Committed, Committed { rows, children });
        assert_eq!(resolved(r#"{"rows":499}"#, 500), committed(499, 0));
        assert_eq!(resolved(r#"{"rows":500}"#, 500), committed(500, 4));
        assert_eq!(resolved("null", 500), committed(500, 4), "an earlier version said nothing of it");
    }

    #[test]
    fn only_of_the_batch_in_flight_the_store_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let now = "2027-03-01T12:00:00Z".parse().unwrap();
        let mut state = State::open(directory.path(), now).unwrap();
        let mut resolve = |batch| {
            let mut seen = Seen { open: vec![(batch, 500, 4)], ..Seen::default() };
            resolve_batches(&mut state, &in_flight("null"), b"no keys", &mut seen, now).map(|()| seen.erased)
        };
        assert_eq!(resolve(1).unwrap(), 500);
        assert!(matches!(resolve(2), Err(RecoverError::Store(_))));
    }
}
