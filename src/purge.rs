//! A purge: one rule, executed batch by batch, evidence first.
//!
//! [`run()`] reads as the protocol does. Before anything is erased the guards are asked and `run.started` says what was
//! counted. Every batch is erased in an open transaction; its keys go to the batch in flight, its counts to the audit
//! log, durably; only then does it commit. If the entry cannot be written the transaction rolls back and every job
//! stops: **no deletion without evidence**. A process that dies at any point leaves enough for the next one to find
//! out exactly what happened (`recover`). `run.finished` carries the negative proof: a fresh count of what should be
//! gone.

mod confine;
mod in_flight;
mod pace;
mod recover;
mod run;
mod state;

use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

pub use confine::{Confinement, confined};
pub use recover::{RecoverError, recover_all};
use run::{Erasure, Run, Stopwatch};
pub(crate) use state::open_private;
pub use state::{State, StateError, StatePaths};

use crate::audit::{AuditError, Event, Sync};
use crate::config::{Pace, Safety};
use crate::plan::Rule;
use crate::register::{ClockSample, FinishedRun, LastCount, RegisterError};
use crate::safety::{self, Assessment, Circumstances};
use crate::store::StoreError;
use state::RuleLock;

/// Characters of a reason that go into evidence: an entry is bounded, what can be wrong with a table is not.
const LONGEST_REASON: usize = 4_000;

/// What a purge is told.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Limits in force.
    pub safety: Safety,
    /// Pace in force.
    pub pace: Pace,
    /// The clock as it is.
    pub clock: &'a ClockSample,
    /// Why the rule's configuration is in doubt, where it is.
    pub suspended: Option<&'a str>,
    /// Set when the process ends, or the rule is no longer what it was: the run ends after the batch under way.
    pub interrupt: &'a AtomicBool,
    /// Is told every step.
    pub watcher: &'a dyn Watcher,
}

/// Is told every step of a run: progress for people, crash points for tests.
pub trait Watcher {
    /// A step was reached.
    fn reached(&self, step: Step);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn reached(&self, _step: Step) {}
}

/// The steps of the batch protocol, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `run.started` is durable: so many records match.
    Started {
        /// Records that match.
        counted: u64,
    },
    /// A batch is erased in an open transaction.
    Erased,
    /// Its keys are in the batch in flight.
    InFlight,
    /// `batch.prepared` is durable.
    Prepared,
    /// The store has committed.
    Committed,
    /// `batch.committed` is written: so many records are gone in this run.
    Recorded {
        /// Records erased so far.
        erased: u64,
    },
    /// The walk is at its end and what is left was counted.
    Walked,
    /// `run.finished` is durable.
    Finished,
    /// The checkpoint is signed.
    Sealed,
    /// The register knows the outcome.
    Registered,
}

/// How a call of [`run()`] ended.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The run began, and ended so.
    Ran(Box<FinishedRun>),
    /// The guards did not let it begin.
    NotReady(Box<Assessment>),
    /// Another process is at work on the rule.
    Busy,
    /// The last batch of this run, or of an earlier one, cannot be resolved now, so a new one must not begin.
    Unresolved(StoreError),
}

/// Evidence or state cannot be written: every job must stop.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<AuditError> for PurgeError {
    fn from(error: AuditError) -> PurgeError {
        PurgeError::State(error.into())
    }
}

impl From<RegisterError> for PurgeError {
    fn from(error: RegisterError) -> PurgeError {
        PurgeError::State(error.into())
    }
}

/// Runs `rule` once.
///
/// # Errors
/// Evidence or state cannot be written. Whatever was not proven before was rolled back.
pub fn run(rule: &Rule, state: &mut State, order: &Order<'_>) -> Result<Outcome, PurgeError> {
    let name = state::file_name(&rule.name);
    let Some(_lock) = RuleLock::try_acquire(&state.paths, &name)? else { return Ok(Outcome::Busy) };
    let watch = Stopwatch::start(order.clock.wall);
    match recover::recover(state, &name, watch.now()) {
        Ok(()) => {}
        Err(RecoverError::Store(error)) => return Ok(Outcome::Unresolved(error)),
        Err(RecoverError::State(error)) => return Err(error.into()),
    }
    let mut store = safety::open_store_for_run(rule);
    let assessment = safety::assess(rule, &mut *store, &circumstances(state, order), order.suspended);
    if !assessment.reasons.is_empty() {
        note_held(rule, state, &assessment, watch.now())?;
        keep_count(rule, state, &assessment, watch.now())?;
        return Ok(Outcome::NotReady(Box::new(assessment)));
    }
    state.register.keep_clock_sample(order.clock)?;
    note_released(rule, state, watch.now())?;
    if let Some(shape) = &assessment.shape {
        safety::schema::accept(&mut state.register, rule, shape, watch.now())?;
    }
    let mut run = Run::begin(rule, state, order, &assessment, &name, watch)?;
    match run.erase(&mut *store, &assessment)? {
        Erasure::Ended(end) => Ok(Outcome::Ran(Box::new(run.finish(&mut *store, end, &assessment)?))),
        // Whoever obtains the rule's lock next finds out.
        Erasure::Undecided(error) => Ok(Outcome::Unresolved(error)),
    }
}

/// The moment as the guards want it.
pub fn circumstances<'a>(state: &'a State, order: &Order<'a>) -> Circumstances<'a> {
    Circumstances {
        safety: order.safety,
        register: Some(&state.register),
        clock: order.clock,
        last_entry: state.log.last_time(),
        stop: state.paths.stop(),
    }
}

/// Records that a rule is held, when that is news. The entry comes first: told twice is better than never.
fn note_held(rule: &Rule, state: &mut State, assessment: &Assessment, now: Timestamp) -> Result<(), PurgeError> {
    let (name, codes) = (rule.name.as_str(), assessment.reason_codes());
    if state.register.held_reason(name)?.as_ref() != Some(&codes) {
        let event = Event::RuleHeld {
            rule: name.to_owned(),
            reason: assessment.reason().chars().take(LONGEST_REASON).collect(),
            matches: assessment.matches(),
            overdue_since: assessment.overdue_since,
        };
        state.log.append(now, &event, Sync::Later)?;
        state.log.checkpoint()?;
        state.register.note_held(name, &codes, now)?;
    }
    Ok(())
}

/// Keeps what was counted of a rule that may not run. What could not be counted says nothing new.
fn keep_count(rule: &Rule, state: &mut State, assessment: &Assessment, now: Timestamp) -> Result<(), PurgeError> {
    let Some(survey) = &assessment.survey else { return Ok(()) };
    let count = LastCount {
        counted_at: now,
        expired: survey.matches,
        oldest: survey.kept.iter().filter_map(|kept| kept.oldest).chain(survey.oldest).min(),
        since: assessment.overdue_since,
    };
    Ok(state.register.keep_count(rule.name.as_str(), &count)?)
}

/// Records that a rule is no longer held, where it was.
fn note_released(rule: &Rule, state: &mut State, now: Timestamp) -> Result<(), PurgeError> {
    let name = rule.name.as_str();
    if state.register.held_reason(name)?.is_some() {
        state.log.append(now, &Event::RuleReleased { rule: name.to_owned() }, Sync::Later)?;
        state.register.note_released(name)?;
    }
    Ok(())
}
